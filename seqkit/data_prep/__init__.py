"""In a clone, the folder `data_prep/` beside the library; in a wheel, that folder's own `__init__.py` stands here."""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "data_prep")]
