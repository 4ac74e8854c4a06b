"""`python recipes/vqa COMMAND …` from a clone: the same as `seqkit vqa COMMAND …`."""

import sys

sys.path.pop(0)  # this folder, whose files must not be found as modules of the top level

from seqkit.cli import main  # noqa: E402

sys.exit(main(["vqa", *sys.argv[1:]]))
