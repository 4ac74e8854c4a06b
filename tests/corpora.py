"""The folder of published corpora that tests read where it is there."""

import os
from pathlib import Path

DATA = Path(os.environ.get("SEQKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
