"""Models of the Hugging Face Hub: a run as a repository, and its model card."""
