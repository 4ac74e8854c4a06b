"""The only code that knows raw corpora: published files to manifests, one folder a task."""
