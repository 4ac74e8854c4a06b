"""`python recipes/lipreading lipnet|wlas COMMAND …` from a clone: the same as `seqkit lipnet|wlas COMMAND …`."""

import sys

sys.path.pop(0)  # this folder, whose files must not be found as modules of the top level

from seqkit.cli import main  # noqa: E402

sys.exit(main(sys.argv[1:], only=("lipnet", "wlas")))
