"""Whether training videos are clips of mouths: a whole face trains without an error, and badly."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqkit.data.check_files import more_than_a_mouth
from seqkit.data.manifest import Item
from seqkit.train.distributed import print0

LOOKED_AT = 20  # videos of a training set, evenly over it


def remark_whole_faces(manifest: Path, items: Sequence[Item]) -> None:
    """Prints a line where a video of the training items is no mouth clip. Raises InputError for one that cannot be
    decoded."""
    paths = list(dict.fromkeys(item.video for item in items if item.video))
    chosen = np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths))).astype(int)
    found = {paths[n]: fault for n in chosen if (fault := more_than_a_mouth(paths[n]))}
    for path, fault in list(found.items())[:1]:
        print0(f"{manifest}: {len(found)} of {len(chosen)} videos looked at are no mouth clips: {path} {fault}")
