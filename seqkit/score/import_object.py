"""Objects of a user's own modules, named `module:NAME`: metrics and text normalizers.

The module is one that Python finds, the folder one works in included.
"""

import importlib
import os
import sys
from functools import lru_cache
from typing import Any

from seqkit.errors import InputError


@lru_cache
def import_object(name: str, what: str) -> Any:
    """Imports `module:NAME`. Raises InputError where there is none; faults inside the module are left as they are."""
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise InputError(f"{what} must be module:NAME, got {name!r}, and there is no module {error.name!r}") from None
    except (TypeError, ValueError):  # of an empty or a relative name
        raise InputError(f"{what} must be module:NAME, got {name!r}") from None
    found = getattr(module, attribute, None)
    if found is None:
        raise InputError(f"{what} must be module:NAME, got {name!r}, and {module_name} has no {attribute!r}")
    return found
