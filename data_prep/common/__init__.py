"""What the preparation of two or more tasks shares."""
