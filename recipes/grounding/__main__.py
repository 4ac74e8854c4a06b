"""`python recipes/grounding COMMAND …` from a clone: the same as `seqkit grounding COMMAND …`."""

import sys

sys.path.pop(0)  # this folder, whose files must not be found as modules of the top level

from seqkit.cli import main  # noqa: E402

sys.exit(main(["grounding", *sys.argv[1:]]))
