"""`python -m seqkit …`, also under torchrun: the same as the `seqkit` command."""

import sys

from seqkit.cli import main

sys.exit(main())
