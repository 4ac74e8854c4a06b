"""Captioned images to manifests."""
