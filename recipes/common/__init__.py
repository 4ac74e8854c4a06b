"""What the recipes of two or more tasks share."""
