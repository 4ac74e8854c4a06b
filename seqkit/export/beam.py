"""Decoding with exported models: beam search, greedy search and greedy CTC, in numpy and onnxruntime alone.

from beam import Model
model = Model(".")  # the folder that this file lies in
found = model.search(source=ids, source_lengths=lengths)  # one list of hypotheses an item, best first
print(model.text(found[0][0].tokens))
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Hypothesis(NamedTuple):
    """Tokens without begin and end, the natural logarithm of their probability, and the score they are ranked by."""

    tokens: list[int]
    logprob: float
    score: float


def pad(rows: Sequence[Any], dtype: Any = np.int64) -> tuple[Any, Any]:
    """Sequences of different lengths to one array (B, T, ...), zeros at the ends, and their lengths (B,)."""
    arrays = [np.asarray(row, dtype) for row in rows]
    lengths = np.array([len(array) for array in arrays], np.int64)
    padded = np.zeros((len(arrays), max(1, lengths.max()), *arrays[0].shape[1:]), dtype)
    for place, array in zip(padded, arrays, strict=True):
        place[: len(array)] = array
    return padded, lengths


def log_softmax(logits: Any) -> Any:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def best(values_BM: Any, count: int) -> Any:
    """The places (B, count) of the largest values of each row, best first, of equal ones the first."""
    place = np.sort(np.argpartition(-values_BM, min(count, values_BM.shape[1]) - 1, 1)[:, :count], 1)
    order = np.argsort(-np.take_along_axis(values_BM, place, 1), 1, kind="stable")
    return np.take_along_axis(place, order, 1)


def read_facts(path: Path, key: str) -> dict[str, Any]:
    """A JSON object with a list of texts `key`. Raises ValueError, naming the file, for another one."""
    try:
        facts: dict[str, Any] = json.loads(path.read_bytes())
        json.dumps(facts, allow_nan=False)  # all numbers must be finite
        "".join(facts[key] + [facts["kind"], facts.get("vocabulary") or ""])  # and these be texts
        return facts
    except (LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: must be JSON with texts as `{key}`, got a fault ({error}); export again") from None


class Model:
    """An exported model: `run` calls a graph, `search` and `ctc` write text, `text` joins tokens."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        """`threads` of onnxruntime; 0: one a core. Raises ValueError for a file that is missing or damaged."""
        import onnxruntime

        own = [RuntimeError, ValueError, *vars(onnxruntime.capi.onnxruntime_pybind11_state).values()]
        faults = tuple(one for one in own if isinstance(one, type) and issubclass(one, Exception))
        options, self.graphs = onnxruntime.SessionOptions(), {}
        options.intra_op_num_threads = threads
        self.facts = read_facts(Path(folder, "model.json"), "graphs")
        for path in (Path(folder, f"{name}.onnx") for name in self.facts["graphs"]):
            try:
                self.graphs[path.stem] = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            except faults as error:
                fault = " ".join(str(error).split())[:200]
                raise ValueError(f"{path}: must be a whole graph, got a fault ({fault}); export again") from None
        name = self.facts.get("vocabulary")
        self.vocab = read_facts(Path(folder, name), "tokens") if name else {"kind": "", "tokens": []}

    def run(self, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a graph by name; inputs that it does not have are left out."""
        graph = self.graphs[name]
        wanted = {one.name: inputs[one.name] for one in graph.get_inputs()}
        return dict(zip((one.name for one in graph.get_outputs()), graph.run(None, wanted), strict=True))

    def search(self, beam: int = 0, nbest: int = 1, **inputs: Any) -> list[list[Hypothesis]]:
        """Beam search, greedy with `beam=1`; 0 is the run's own, as are all options in `facts["search"]`."""
        own, eos, memory = self.facts["search"], self.facts["eos"], self.run("encoder", inputs)
        size, limits = max(beam or own["beam"], nbest), np.where(own["max_len"], own["max_len"], memory.pop("max_len"))
        names = [one.name[5:] for one in self.graphs["step"].get_outputs() if one.name.startswith("next_")]
        state = {name: np.repeat(memory.pop(name), size, 1) for name in names}
        count = np.arange(limits.max() + 1)
        divisor = {"average": count, "wu": ((5 + count) / 6) ** own["alpha"]}.get(own["length_penalty"], count**0)
        item = np.arange(len(limits))  # the places of the items that are not closed
        tokens = np.full((len(item), size, 1), self.facts["bos"], np.int64)
        total = np.where(np.arange(size) == 0, 0.0, np.full((len(item), 1), -np.inf))
        pools: list[list[Hypothesis]] = [[] for _ in item]
        for length in count[1:].tolist():
            made = self.run("step", {"token": tokens[:, :, -1], **memory, **state})
            logprob = log_softmax(made["logits"]).astype(np.float64)
            logprob[..., self.facts["suppress"]] = -np.inf
            if 0 < (order := own["no_repeat_ngram"]) < length:  # no n-gram of this order comes twice
                ngrams = np.lib.stride_tricks.sliding_window_view(tokens[:, :, 1:], order, 2)
                again = (ngrams[..., :-1] == tokens[:, :, None, length - order + 1 :]).all(-1)
                logprob[*np.nonzero(again)[:2], ngrams[again][:, -1]] = -np.inf
            candidates = (total[..., None] + logprob).reshape(len(item), -1)
            place = best(candidates, 2 * size)
            value, parent, token = np.take_along_axis(candidates, place, 1), *np.divmod(place, logprob.shape[-1])
            going = np.argsort(token == eos, 1, kind="stable")[:, :size]
            keep = np.ones(len(item), bool)  # an item ends at its limit, with a full pool, or where none can enter it
            for row, number in enumerate(item):
                limit, top = limits[number], float(value[row, going[row, 0]])
                ended = np.nonzero(token[row, :size] == eos)[0]
                for column in sorted([*ended, *(going[row] if length == limit else ())]):
                    if (found := float(value[row, column])) > -np.inf:
                        ids = [*tokens[row, parent[row, column], 1:].tolist(), int(token[row, column])]
                        pools[number].append(Hypothesis([i for i in ids if i != eos], found, found / divisor[length]))
                pool = pools[number] = sorted(pools[number], key=lambda one: -one.score)[:size]
                beaten = len(pool) >= nbest and pool[nbest - 1].score >= top / divisor[limit]
                keep[row] = length < limit and len(pool) < size and top > -np.inf and not beaten
            parent, token, total = (np.take_along_axis(part, going, 1) for part in (parent, token, value))
            if not keep.any():
                break
            rows = np.nonzero(keep)[0][:, None]
            tokens = np.concatenate([tokens[rows, parent[keep]], token[keep][..., None]], 2)
            state = {name: made[f"next_{name}"][rows, parent[keep]] for name in state}
            memory, item, total = {name: part[keep] for name, part in memory.items()}, item[keep], total[keep]
        return [pool[:nbest] or [Hypothesis([], -np.inf, -np.inf)] for pool in pools]

    def ctc(self, **inputs: Any) -> list[Hypothesis]:
        """Greedy CTC decoding: each frame's best token, repeats merged, then the blank 0 removed."""
        made = self.run("model", inputs)
        logprob = log_softmax(made["logits"])
        logprob[..., self.facts["suppress"]] = -np.inf
        found = []
        for row, length in zip(logprob, made["lengths"], strict=True):
            path, total = row[:length].argmax(-1), float(row[:length].max(-1, initial=-np.inf).sum(dtype=np.float64))
            found.append(Hypothesis(path[(path != 0) & (np.diff(path, prepend=-1) != 0)].tolist(), total, total))
        return found

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text; an unknown one is ⁇. Raises ValueError for tokens that the vocabulary has not."""
        if max(tokens, default=0) >= 4 + len(self.vocab["tokens"]):
            raise ValueError(f"`tokens` must be below {4 + len(self.vocab['tokens'])}, got {max(tokens)}")
        parts = ["⁇" if token == 3 else self.vocab["tokens"][token - 4] for token in tokens if token > 2]
        if self.vocab["kind"] == "words":  # ￭ stands where no space was
            return " ".join(parts).replace(" ￭", "").replace("￭ ", "").replace("￭", "")
        if self.vocab["kind"] == "subwords":
            parts = [part.replace("▁", " ").replace("\ufdd0", "▁") for part in parts]
        return " ".join("".join(parts).split())
