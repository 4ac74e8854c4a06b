#!/usr/bin/env bash
# Readers of Praat's TextGrid beside Praat itself (6.1.38, in praat-parselmouth 0.4.7), on files that Praat writes and reads:
# tgt 1.5 and praat-textgrids 1.4.0 cut a label that contains " = ", without a word: of "text = 5" they give "tex" and
#   "text". Both refuse labels over several lines, tgt UTF-16, in which Praat saves letters outside ASCII.
# praatio 6.2.2 refuses times below 0.0001, which Praat writes as 5e-05, and labels such as "item [2]:".
# TextGrid 1.6.1 refuses comments (! to the end of the line) after a number, and, as all of them, files in Latin-1.
# praat-textgrids leaves doubled quotes doubled within a label, and takes them off at its ends.
# Expected: the labels that Praat shows. Exits with a status other than 0 where any of this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir praat-parselmouth==0.4.7 praatio==6.2.2 TextGrid==1.6.1 tgt==1.5 \
  praat-textgrids==1.4.0
cd "$folder"
cat > show.py <<'PYTHON'
import pathlib
import warnings

import parselmouth
import textgrid
import textgrids
import tgt
from praatio import textgrid as praatio

warnings.simplefilter("ignore")
NAME = "a.TextGrid"


def grid(label, start="0.5"):
    rows = [("0", start, ""), (start, "2", label), ("2", "3", "end")]
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 3 \ntiers? <exists> \nsize = 1 \n'
    text += 'item []: \n    item [1]:\n        class = "IntervalTier" \n        name = "words" \n        xmin = 0 \n'
    text += "        xmax = 3 \n        intervals: size = 3 \n"
    for number, row in enumerate(rows, 1):
        text += "        intervals [%d]:\n            xmin = %s \n            xmax = %s \n            text = \"%s\" \n" % (number, *row)
    return text


def praat():
    found, call = parselmouth.Data.read(NAME), parselmouth.praat.call
    return call(found, "Get label of interval...", 1, 2)


READERS = {
    "Praat": praat,
    "tgt": lambda: tgt.io.read_textgrid(NAME, include_empty_intervals=True).tiers[0][1].text,
    "praat-textgrids": lambda: str(list(textgrids.TextGrid(NAME).values())[0][1].text),
    "praatio": lambda: praatio.openTextgrid(NAME, includeEmptyIntervals=True).tiers[0].entries[1].label,
    "TextGrid": lambda: textgrid.TextGrid.fromFile(NAME).tiers[0][1].mark,
}
REFUSED = "refused"
GRIDS = {  # a file's content, and what each reader gives of the second label
    "a key in a label": (grid("text = 5").encode(), ["text = 5", "tex", "text", "text = 5", "text = 5"]),
    "brackets in a label": (grid("item [2]:").encode(), ["item [2]:", "item [2]:", "item [2]:", REFUSED, "item [2]:"]),
    "two lines": (grid("a\nb").encode(), ["a\nb", REFUSED, REFUSED, "a\nb", "a\nb"]),
    "doubled quotes": (grid('say ""hi"" now').encode(), ['say "hi" now', 'say "hi" now', 'say ""hi"" now', 'say "hi" now', 'say "hi" now']),
    "an exponent": (grid("a", "5e-05").encode(), ["a", "a", "a", REFUSED, "a"]),
    "UTF-16": (b"\xfe\xff" + grid("h\u00e9").encode("utf-16-be"), ["h\u00e9", REFUSED, "h\u00e9", "h\u00e9", "h\u00e9"]),
    "a comment": (grid("a").replace("size = 3 ", "size = 3 ! three").encode(), ["a", REFUSED, REFUSED, "a", REFUSED]),
    "Latin-1": (grid("h\u00e9").encode("latin-1"), ["h\u00e9", REFUSED, REFUSED, REFUSED, REFUSED]),
}
for title, (content, expected) in GRIDS.items():
    pathlib.Path(NAME).write_bytes(content)
    found = []
    for read in READERS.values():
        try:
            found.append(read())
        except Exception:  # each has its own
            found.append(REFUSED)
    print(f"{title}:", ", ".join(f"{name} {label!r}" for name, label in zip(READERS, found, strict=True)))
    assert found == expected, (title, found)
PYTHON
"$folder/venv/bin/python" show.py
