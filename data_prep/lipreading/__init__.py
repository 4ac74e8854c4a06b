"""Talking people to mouth clips and manifests."""
