"""Whether a run continues on the data that it began with: a hash of its manifests in `config.yaml`."""

import hashlib
from pathlib import Path

from seqkit.config import read_values
from seqkit.errors import InputError
from seqkit.train.checkpoint import find_checkpoint


def data_digest(data: Path) -> str:
    """Hash of the manifests that a training reads, or of the file that is its data; of those that are there."""
    digest = hashlib.sha256()
    for path in (data / "train.jsonl", data / "val.jsonl") if data.is_dir() else (data,):
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def check_same_data(run: Path, data: Path, digest: str) -> None:
    """Raise InputError where `run`, to be resumed, began with other data."""
    stored = run / "config.yaml"
    if find_checkpoint(run / "last") is not None and stored.is_file():
        known = read_values(stored).get("data_sha256", digest)
        if known != digest:
            raise InputError(
                f"{data}: must be the data that {run} began with, got manifests of other content: "
                f"--changed_data continues all the same, --init {run} begins another run"
            )
