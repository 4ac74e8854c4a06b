#!/usr/bin/env bash
# jiwer 4.0.0: its command leaves out every line of fewer than two characters, of each of the two files by itself, and
# then pairs what is left by order. Where both files have equally many such lines at different places (a letter or a
# digit spoken, nothing recognized) it scores other pairs than the files hold, without a word and with status 0.
# Expected of three pairs, two of them wrong: 66.7 % (4 edits of 6 words, as its own Python function says).
# Seen: 0.0. Python's `jiwer.wer(references, hypotheses)` keeps all lines.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir jiwer==4.0.0 click==8.5.1 rapidfuzz==3.14.6
cd "$folder"
printf 'b\nyes sir\nno sir or\n' > references
printf 'yes sir\n\nno sir or\n' > hypotheses
seen=$(venv/bin/jiwer -r references -h hypotheses)
whole=$(venv/bin/python -c '
import jiwer
texts = [open(name).read().split("\n")[:3] for name in ("references", "hypotheses")]
print(round(jiwer.wer(*texts), 4))')
echo "jiwer's command: $seen; jiwer.wer on the same lines: $whole"
[ "$seen" = 0.0 ] && [ "$whole" = 0.6667 ]
