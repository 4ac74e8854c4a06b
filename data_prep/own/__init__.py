"""A person's own files to manifests: videos, sounds, pictures, tables and pairs of texts."""
