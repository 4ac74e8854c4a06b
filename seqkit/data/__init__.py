"""From files to batches: manifests, text, vocabularies, padding."""
