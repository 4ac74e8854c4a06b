"""`python recipes/language_model COMMAND …` from a clone: the same as `seqkit language_model COMMAND …`."""

import sys

sys.path.pop(0)  # this folder, whose files must not be found as modules of the top level

from seqkit.cli import main  # noqa: E402

sys.exit(main(["language_model", *sys.argv[1:]]))
