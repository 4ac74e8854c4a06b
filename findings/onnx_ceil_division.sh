#!/usr/bin/env bash
# torch 2.12.1, torch.onnx.export(dynamo=True), onnxruntime 1.32.0: a ceiling division of a dynamic size, written as
# -(-T // 2), is exported without a word and gives T // 2 rows where T is odd. Floor division rounds down in Python;
# the graph divides the negative number with ONNX's Div, which rounds towards zero.
# Expected of 7, 8 and 9 rows: 4, 4, 5. Seen: 3, 4, 4. Right: (T + 1) // 2.
# Exits with a status other than 0 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-cache-dir torch==2.12.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$folder"
cat > show.py <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
import torch

warnings.simplefilter("ignore")


class Halves(torch.nn.Module):
    def __init__(self, plain):
        super().__init__()
        self.plain = plain

    def forward(self, x):
        rows = (x.shape[0] + 1) // 2 if self.plain else -(-x.shape[0] // 2)
        return x.new_zeros(rows, 1) + x.sum()


def rows(plain):
    model = Halves(plain)
    program = torch.export.export(model, (torch.ones(8, 1),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.onnx.export(program, (), "model.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession("model.onnx")
    name = session.get_inputs()[0].name
    ours = [model(torch.ones(n, 1)).shape[0] for n in (7, 8, 9)]
    return ours, [session.run(None, {name: np.ones((n, 1), np.float32)})[0].shape[0] for n in (7, 8, 9)]


for plain, seen in ((False, ([4, 4, 5], [3, 4, 4])), (True, ([4, 4, 5], [4, 4, 5]))):
    found = rows(plain)
    print("(T + 1) // 2:" if plain else "-(-T // 2):", "torch", found[0], "onnxruntime", found[1])
    assert found == seen, found
PYTHON
"$folder/venv/bin/python" show.py 2>&1 | grep -v "^\[torch"
