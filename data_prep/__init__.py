"""One script a corpus: published files in, manifests and counts out."""
