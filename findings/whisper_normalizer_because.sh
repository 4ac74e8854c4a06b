#!/usr/bin/env bash
# whisper_normalizer 0.1.15 says that it is the normalizer of openai-whisper (20250625), by which word error rates of
# English are published. Four rules more are in it: "cause", "kinda", "sorta" and "dunno" are written out as if each were
# short for something, so that "for a cause" becomes "for a because". Its figures are not those of OpenAI's normalizer.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir whisper-normalizer==0.1.15 regex more-itertools setuptools wheel
"$folder/venv/bin/pip" install --quiet --no-cache-dir --no-deps --no-build-isolation --target "$folder/openai" openai-whisper==20250625
cd "$folder"
cat > show.py <<'PYTHON'
import sys

sys.path.insert(0, "openai/whisper")  # its package would import torch
from normalizers.english import EnglishTextNormalizer as OpenAI
from whisper_normalizer.english import EnglishTextNormalizer as Other

first, second = OpenAI(), Other()
for text in ("walking for a cause", "I dunno", "kinda warm", "sorta warm"):
    print(f"{text!r}: openai-whisper {first(text)!r}, whisper_normalizer {second(text)!r}")
assert first("walking for a cause") == "walking for a cause"
assert second("walking for a cause") == "walking for a because"
assert len(second.replacers) == len(first.replacers) + 4
PYTHON
venv/bin/python show.py
