"""One folder a task, each a recipe that reads from top to bottom like its paper."""
