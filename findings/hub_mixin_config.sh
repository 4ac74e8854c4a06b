#!/usr/bin/env bash
# huggingface_hub 2.4.0, ModelHubMixin: a model that save_pretrained wrote comes back from from_pretrained with other
# arguments than it was made with, and nothing is said: a path is left out of config.json, so that the argument has its
# default again, names by number are names by text, so that a prediction finds none, and a tuple is a list. The types by
# which the arguments are annotated are not asked.
# Expected: the arguments, or an error of save_pretrained for what config.json cannot hold.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir huggingface_hub==2.4.0 jinja2==3.1.6
cd "$folder"
cat > show.py <<'PYTHON'
from pathlib import Path

from huggingface_hub import ModelHubMixin


class Classifier(ModelHubMixin):
    def __init__(self, names: dict[int, str], words: Path = Path("words.txt"), size: tuple[int, int] = (32, 32)):
        self.given = names, words, size

    def _save_pretrained(self, save_directory):
        pass

    @classmethod
    def _from_pretrained(cls, **given):  # as that of PyTorchModelHubMixin: what config.json holds are the arguments
        return cls(**{name: given[name] for name in ("names", "words", "size") if name in given})


before = Classifier({0: "no", 1: "yes"}, words=Path("of_this_model.txt"), size=(224, 224))
before.save_pretrained("model")
after = Classifier.from_pretrained("model")
print(Path("model/config.json").read_text())
print("given ", before.given)
print("loaded", after.given)
assert before.given == ({0: "no", 1: "yes"}, Path("of_this_model.txt"), (224, 224))
assert after.given == ({"0": "no", "1": "yes"}, Path("words.txt"), [224, 224]), after.given
assert after.given[0].get(1) is None
PYTHON
"$folder/venv/bin/python" show.py
