"""A pytest plugin that hides every installed package but torch, numpy and pytest with what these require."""

import importlib.metadata
import re
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def required(names: Iterable[str]) -> set[str]:
    """The distributions of `names` and all that they require."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = re.split(r"[ ;<>=!~(\[]", waiting.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            waiting += [text for text in importlib.metadata.requires(name) or () if "extra ==" not in text]
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
    return found


def hide(kept: set[str]) -> None:
    """Lets the import system find no package of other distributions, as if they were not installed."""
    hidden = {
        package
        for package, distributions in importlib.metadata.packages_distributions().items()
        if not kept & {name.lower().replace("_", "-") for name in distributions}
    } - {"seqkit", "tests"}
    find = PathFinder.find_spec

    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return None if name.split(".")[0] in hidden else find(name, path, target)

    PathFinder.find_spec = find_spec  # type: ignore[method-assign]


hide(required(["torch", "numpy", "pytest"]))
