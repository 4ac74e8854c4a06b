"""Phrases to boxes of an image."""
