"""Libraries that read one format, each of an extra of seqkit."""

import importlib
from pathlib import Path
from types import ModuleType

from seqkit.errors import InputError


def library(name: str, path: Path, extra: str) -> ModuleType:
    """The module that reads `path`. Raises InputError where it is missing, or does not load beside what there is."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise InputError(f'{path}: {name} must be installed to read it: pip install "seqkit[{extra}]"') from None
    except ImportError as error:
        raise InputError(f"{path}: {name} must load to read it, got: {error}") from error
