"""Parallel text to manifests."""
