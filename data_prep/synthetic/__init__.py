"""Corpora made by rule."""
