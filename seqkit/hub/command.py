"""`seqkit push RUN OWNER/NAME --license ID`: a run as a model of the Hub, in one commit."""

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from seqkit import __version__
from seqkit.errors import InputError
from seqkit.find_run import hub_errors
from seqkit.hub.card import CardOptions
from seqkit.hub.model_folder import write_model_folder

LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
LANGUAGE = re.compile(r"[a-z]{2,3}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="the folder of a trained run; its best/ and reports are used")
    add("name", metavar="OWNER/NAME", help="the repository; it is made if it is not there")
    add("--license", metavar="ID", help="under which others may use the model: mit, cc-by-4.0, cc-by-nc-4.0, other …")
    add("--private", action="store_true", help="make the repository private")
    add("--dataset", metavar="NAME", default="", help="name of the training corpus [its folder's]")
    add("--language", metavar="CODE", nargs="+", default=[], help="languages, such as en de")
    add("--dry_run", metavar="OUT", type=Path, help="write what would be sent to the folder OUT, and send nothing")


def run(args: argparse.Namespace) -> None:
    """Push, or only write the folder; prints what was written, or where it is now."""
    if not args.license:
        raise InputError(
            "`--license` must be given: what others may do with the model, such as mit, cc-by-4.0 or cc-by-nc-4.0; "
            "the terms of the training data bind you, too"
        )
    if not LICENSE.fullmatch(args.license):
        raise InputError(f"`--license` must be an identifier of the Hub such as mit or cc-by-4.0, got {args.license!r}")
    if bad := next((code for code in args.language if not LANGUAGE.fullmatch(code)), None):
        raise InputError(f"`--language` must be codes of two or three letters such as en, got {bad!r}")
    options = CardOptions(args.license, args.dataset, args.language)
    if args.dry_run:
        check_name(args.name)
        write_model_folder(args.run, args.dry_run, args.name, options)
        for path in sorted(args.dry_run.iterdir()):
            print(f"{path.stat().st_size / 2**20:8.1f} MiB  {path}")
        return
    print(push(args.run, args.name, options, private=args.private))


def push(folder: Path, name: str, options: CardOptions, *, private: bool = False) -> str:
    """Send a run to the repository `name` in one commit, so that it is there whole or not at all; returns its address.

    The token is that of `hf auth login`, or HF_TOKEN. Files that were there before and are not replaced stay. Raises
    InputError for a run that cannot be loaded, without a token or network, and where the Hub refuses.
    """
    check_name(name)
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "model"
        write_model_folder(folder, out, name, options)
        return f"hf://{name}@{commit(sorted(out.iterdir()), name, private)}"


def commit(paths: Sequence[Path], name: str, private: bool) -> str:
    """Send files to the root of a repository, which is made if it is not there; returns the commit's hash."""
    with hub_errors(name):
        from huggingface_hub import CommitOperationAdd, HfApi, get_token

        if not get_token():
            raise InputError(f"{name}: a token of the Hub must be there to push: `hf auth login`, or HF_TOKEN")
        api = HfApi(library_name="seqkit", library_version=__version__)
        api.create_repo(name, private=private, exist_ok=True)
        if private and not api.model_info(name).private:
            raise InputError(f"{name}: must be a private repository for --private, got a public one; nothing was sent")
        files = [CommitOperationAdd(path.name, path) for path in paths]
        return str(api.create_commit(name, files, commit_message=f"A run of seqkit {__version__}").oid)


def check_name(name: str) -> None:
    """Raise InputError for a name that no repository can have, and where huggingface_hub is not installed."""
    with hub_errors(name):
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        validate_repo_id(name)
    if name.count("/") != 1:
        raise InputError(f"OWNER/NAME must have an owner and a name, got {name!r}")
