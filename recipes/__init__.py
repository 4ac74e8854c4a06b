"""One file a model family, each read from top to bottom like its paper."""
