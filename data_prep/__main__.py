"""`python data_prep CORPUS …` from a clone: the same as `seqkit prepare CORPUS …`."""

import sys

sys.path.pop(0)  # this folder, whose files must not be found as modules of the top level

from seqkit.cli import main  # noqa: E402

sys.exit(main(["prepare", *sys.argv[1:]]))
