"""Phrases and boxes to manifests."""
