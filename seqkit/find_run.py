"""Where a run is: a folder, or a model of the Hugging Face Hub by its address, `hf://OWNER/NAME[@REVISION]`.

A run folder has `config.yaml` and checkpoints in it; a flat folder, as repositories of the Hub are, has `config.json`
and one checkpoint at its root. Both are read alike. What is downloaded are weights, tables and configs: no program, and
nothing that would be unpickled.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path

from seqkit import __version__
from seqkit.errors import InputError
from seqkit.train.checkpoint import META, WEIGHTS

MISSING = 'models of the Hub need huggingface_hub: pip install "seqkit[hub]"'
ADDRESS = re.compile(r"hf:/{1,2}(?P<name>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>\S+))?")  # a path loses one slash of two
ASSETS = (".json", ".model", ".ngram")
LOADED = ["config.yaml", f"*{WEIGHTS}", *(f"*{ending}" for ending in ASSETS)]
"""files of a repository that are downloaded, at its root and in `best/`"""
OTHERS = ["last/*", "evaluate/*", "tensorboard/*", "*/*/*"]
FLAT, CARD = "config.json", "README.md"


def find_run(run: str | PathLike[str]) -> Path:
    """The folder of a run: of an address the Hub's local copy, which is downloaded where it is lacking or has changed.

    The Hub's own settings hold: HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE, and the token of `hf auth login` or HF_TOKEN.
    Raises InputError for an address that leads to no repository, and where huggingface_hub is not installed.
    """
    address = parse_address(run)
    return download(*address) if address else Path(run)


def parse_address(run: str | PathLike[str]) -> tuple[str, str | None] | None:
    """OWNER/NAME and the revision of an address, None for a folder; InputError for an address that is none."""
    text = fspath(run).replace("\\", "/")
    if not text.startswith("hf:/"):
        return None
    if not (found := ADDRESS.fullmatch(text.rstrip("/"))):
        raise InputError(f"an address of the Hub must be hf://OWNER/NAME or hf://OWNER/NAME@REVISION, got {text}")
    return found["name"], found["revision"]


def run_config(run: Path) -> Path | None:
    """The file that holds the config of a run in either layout; None where the folder is no run."""
    flat = run / FLAT
    return next(
        (path for path in ([flat] if (run / META).is_file() else []) + [run / "config.yaml"] if path.is_file()), None
    )


def config_of(run: Path, what: str = "RUN") -> Path:
    """The same; InputError where the folder is no run, in which it is called `what`."""
    if path := run_config(run):
        return path
    raise InputError(f"{what} must be the folder of a trained run, got {run}, which has no config.yaml")


def assets(folder: Path) -> list[Path]:
    """The files of a checkpoint beside weights and facts, in either layout: vocabularies, input statistics, n-grams."""
    other = (META, FLAT)
    return sorted(path for path in folder.iterdir() if path.suffix in ASSETS and path.name not in other)


def report_home(run: Path) -> Path:
    """Where reports of a run are written: in its folder, and of OWNER/NAME of the Hub in a folder called so here."""
    address = parse_address(run)
    return Path(address[0]) if address else run


def download(name: str, revision: str | None) -> Path:
    """The local copy of a repository."""
    with hub_errors(f"hf://{name}{f'@{revision}' if revision else ''}"):
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            name,
            revision=revision,
            allow_patterns=LOADED,
            ignore_patterns=OTHERS,
            library_name="seqkit",
            library_version=__version__,
        )
        return Path(folder)


@contextmanager
def hub_errors(address: str) -> Iterator[None]:
    """Context in which what huggingface_hub raises becomes an InputError that says what to do."""
    try:
        from huggingface_hub import errors
    except ImportError:
        raise InputError(MISSING) from None
    any_http: type[BaseException] = errors.HfHubHTTPError.__bases__[0]  # of the HTTP client that the library uses
    try:
        yield
    except InputError:
        raise
    except errors.HFValidationError as error:
        raise InputError(f"{address}: must be OWNER/NAME of the Hub, got {error}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{address}: the revision must be a branch, tag or commit of the repository, got none"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{address}: must be a repository of the Hub that you may read: check its name; a private or gated one "
            "needs `hf auth login`, or HF_TOKEN"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        why = "your token may not do this" if status in (401, 403) else f"the Hub answered {status}"
        raise InputError(f"{address}: {why}: {error.server_message or error}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise InputError(f"{address}: the Hub must be reached, or the model be in its cache, got neither") from error
    except any_http as error:
        raise InputError(f"{address}: the Hub must be reached, got {error}") from error
    except ValueError as error:  # of a model card
        raise InputError(f"{address}: the Hub refused: {error}") from error
    except RuntimeError as error:  # of a large file
        raise InputError(f"{address}: {error} {error.__cause__ or ''}") from error
    except OSError as error:  # of hf_xet, which carries large files; those of the disk have a number
        if error.errno is not None:
            raise
        raise InputError(f"{address}: the Hub must be reached, got {error}") from error
