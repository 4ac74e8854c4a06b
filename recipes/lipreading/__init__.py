"""Lips, sound or both to text."""
