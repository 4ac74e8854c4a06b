#!/usr/bin/env bash
# pysubs2 1.8.1, pysubs2.load of valid WebVTT (W3C, sections 4.2.2 and 5.1), without an error or a warning:
# 1. all words of a cue with times inside are lost, and an empty event is added. YouTube writes its captions so.
#    Expected "so the dog"; seen "" twice.
# 2. the name of a cue becomes text of the cue before, where names are words, as in many players' files.
#    Expected "hello" and "bye"; seen "hello\n\nq2" and "bye".
# 3. character references are left as they are: expected "R&D <b>", seen "R&amp;D &lt;b&gt;". webvtt-py 0.6.0 does the same.
# webvtt-py has neither of the first two. Exits with a status other than 0 where any of this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir pysubs2==1.8.1 webvtt-py==0.6.0
cd "$folder"
cat > show.py <<'PYTHON'
import pysubs2
import webvtt

TIMES = "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nso<00:00:00.800><c> the</c><00:00:01.100><c> dog</c>\n"
NAMES = "WEBVTT\n\nq1\n00:00:01.000 --> 00:00:02.000\nhello\n\nq2\n00:00:02.000 --> 00:00:03.000\nbye\n"
ENTITIES = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nR&amp;D &lt;b&gt;\n"
for title, text, theirs, others in (
    ("times inside", TIMES, ["", ""], ["so the dog"]),
    ("names", NAMES, ["hello\n\nq2", "bye"], ["hello", "bye"]),
    ("references", ENTITIES, ["R&amp;D &lt;b&gt;"], ["R&amp;D &lt;b&gt;"]),
):
    seen = [event.plaintext for event in pysubs2.SSAFile.from_string(text, format_="vtt")]
    other = [cue.text for cue in webvtt.from_string(text)]
    print(f"{title}: pysubs2 {seen}, webvtt-py {other}")
    assert (seen, other) == (theirs, others), (seen, other)
PYTHON
"$folder/venv/bin/python" show.py
