"""Questions about images to answers."""
