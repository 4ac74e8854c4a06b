#!/usr/bin/env bash
# webdataset 1.0.2 (reading by Python's tarfile in stream mode): a shard that was cut off within the header of a file, or
# just before it, as a broken copy leaves it, is read as a whole one without a word: items are missing, and the last one
# lacks files. tarfile takes a header that is cut off, or none, for the end of the archive; only a cut within a file's
# content is an error, and the two blocks of zeros that end an archive are not asked for.
# Expected of a shard of 8 samples, cut after 9,216 or 9,400 of its bytes: an error. Seen: 4 samples, the last without its
# label. Right: compare the size of a shard with what was written, as `shards.json` has it.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir webdataset==1.0.2
cd "$folder"
cat > show.py <<'PYTHON'
import io
import tarfile

import webdataset

with tarfile.open("whole.tar", "w") as tar:
    for number in range(8):
        for name, content in ((f"{number}.txt", b"x" * 700), (f"{number}.cls", b"1")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
whole = open("whole.tar", "rb").read()


def read(length):
    with open("cut.tar", "wb") as file:
        file.write(whole[:length])
    try:
        found = list(webdataset.WebDataset("cut.tar", shardshuffle=False))
    except tarfile.ReadError as error:
        return str(error.args[0]).split(" @ ")[0]
    return len(found), sorted(key for key in found[-1] if not key.startswith("__"))


for length, seen in (
    (len(whole), (8, ["cls", "txt"])),
    (9216, (4, ["txt"])),  # just before the header of 3.cls
    (9400, (4, ["txt"])),  # within it
    (8500, "unexpected end of data"),  # within 3.txt
):
    found = read(length)
    print(f"{length:6} bytes:", found)
    assert found == seen, found
PYTHON
"$folder/venv/bin/python" -W ignore show.py
