#!/usr/bin/env bash
# sentencepiece 0.2.3: where a corpus has more characters than `vocab_size`, the trainer says "decrease
# character_coverage"; below 0.98 it refuses every value, with an error that gives no reason, so that no value may fit.
# Expected of 3,000 characters in Zipf's proportions and a vocabulary of 1,000: some coverage that works.
# Seen: 1.0, 0.99 and 0.98 want 2,000 and more characters; 0.97 and less end in "INTERNAL: … [trainer_spec…] ".
# Right: leave rare characters out of the training text.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir sentencepiece==0.2.3
cat > "$folder/show.py" <<'PYTHON'
import io
import random

import sentencepiece

random.seed(1)
characters = [chr(0x4E00 + i) for i in range(3000)]
texts = ["".join(random.choices(characters, [1 / (i + 1) for i in range(3000)], k=12)) for _ in range(3000)]


def error(coverage):
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=io.BytesIO(), model_type="bpe", vocab_size=1000,
            character_coverage=coverage, hard_vocab_limit=False, minloglevel=2,
        )
    except RuntimeError as found:
        return str(found).rpartition("]")[2].strip()
    return "trained"


for coverage in (1.0, 0.99, 0.98, 0.97, 0.9, 0.5):
    print(coverage, repr(error(coverage)))
assert all("decrease character_coverage" in error(coverage) for coverage in (1.0, 0.98))
assert all(error(coverage) == "" for coverage in (0.97, 0.9, 0.5))
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
