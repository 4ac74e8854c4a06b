"""Questions about images to manifests."""
