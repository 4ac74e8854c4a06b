"""Writes the table of manifest keys into docs/data.md, from the tables in the code."""

import re
from pathlib import Path

from seqkit.data.manifest_keys import Reads, key_table
from seqkit.tasks import TASKS, find_recipe

PAGE = Path(__file__).with_name("data.md")
PLACE = re.compile(r"(?<=<!-- keys: made by docs/make_key_table.py -->\n).*?(?=<!-- end of keys -->)", re.DOTALL)


def recipes() -> dict[str, Reads]:
    """What every recipe reads."""
    return {name: reads for name in TASKS if (reads := find_recipe(name).reads)}


def made(text: str) -> str:
    """The page with the table of today."""
    return PLACE.sub(lambda _: key_table(recipes()) + "\n", text)


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
