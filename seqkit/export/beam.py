"""Decoding with exported models: beam search, greedy search and greedy CTC, in numpy and onnxruntime alone.

    from beam import Model
    model = Model(".")  # the folder that this file lies in
    found = model.search(source=ids, source_lengths=lengths)  # one list of hypotheses an item, best first
    print(model.text(found[0][0].tokens))

B batch, K hypotheses an item, V vocabulary, T frames.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STATE = ("h", "c", "context", "attention")  # what a step hands to the next


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
    if count < values_BM.shape[1]:
        place = np.sort(np.argpartition(-values_BM, count - 1, 1)[:, :count], 1)
    else:
        place = np.broadcast_to(np.arange(values_BM.shape[1]), values_BM.shape)
    order = np.argsort(-np.take_along_axis(values_BM, place, 1), 1, kind="stable")
    return np.take_along_axis(place, order, 1)


def read_facts(path: Path, key: str) -> dict[str, Any]:
    """A JSON object with a list of texts `key`. Raises ValueError, naming the file, for another one."""
    try:
        facts = json.loads(path.read_bytes(), parse_constant=finite, parse_float=finite)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: must be a JSON object, got a fault ({error}); export the run again") from None
    found: dict[str, Any] = facts if isinstance(facts, dict) and (key != "tokens" or "kind" in facts) else {}
    listed, name = found.get(key), found.get("vocabulary") or ""
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed) or not isinstance(name, str):
        raise ValueError(f"{path}: must have a list of texts `{key}`, got a damaged file; export the run again")
    return found


def finite(text: str) -> float:
    """A number of JSON. Raises ValueError for one that is not finite."""
    if not np.isfinite(number := float(text)):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def faults_of(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """The errors of onnxruntime over a graph that is missing or damaged."""
    module = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return RuntimeError, ValueError, *(getattr(module, name) for name in (*names, "RuntimeException", "EPFail"))


class Model:
    """An exported model: `run` calls a graph, `search` and `ctc` write text, `text` joins tokens."""

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        import onnxruntime

        self.facts = read_facts(Path(folder, "model.json"), "graphs")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: one a core
        paths, where = {name: Path(folder, f"{name}.onnx") for name in self.facts["graphs"]}, ["CPUExecutionProvider"]
        self.graphs = {}
        for name, path in paths.items():
            try:
                self.graphs[name] = onnxruntime.InferenceSession(str(path), options, where)
            except faults_of(onnxruntime) as error:
                fault = " ".join(str(error).split())[:200]
                raise ValueError(
                    f"{path}: must be a whole graph, got a fault ({fault}); export the run again"
                ) from None
        name = self.facts.get("vocabulary")
        self.vocab = read_facts(Path(folder, name), "tokens") if name else {"kind": "", "tokens": []}

    def run(self, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a graph by name; inputs that it does not have are left out."""
        graph = self.graphs[name]
        wanted = {one.name: inputs[one.name] for one in graph.get_inputs()}
        return dict(zip((one.name for one in graph.get_outputs()), graph.run(None, wanted), strict=True))

    def search(self, beam: int = 0, nbest: int = 1, **inputs: Any) -> list[list[Hypothesis]]:
        """Beam search, greedy with `beam=1`; 0 is the run's own, as are all options in `facts["search"]`."""
        own, bos, eos = self.facts["search"], self.facts["bos"], self.facts["eos"]
        size, memory = max(beam or own["beam"], nbest), self.run("encoder", inputs)

        def score(total: float, length: int) -> float:
            divisors = {"average": length, "wu": ((5 + length) / 6) ** own["alpha"]}
            return float(total / divisors.get(own["length_penalty"], 1))

        limits = memory.pop("max_len")
        limits = np.full_like(limits, own["max_len"]) if own["max_len"] else limits
        state = {name: np.repeat(memory.pop(name), size, 1) for name in list(memory) if name.split("_")[0] in STATE}
        item = np.arange(len(limits))  # the places of the items that are not closed
        tokens = np.full((len(item), size, 1), bos, np.int64)
        total = np.where(np.arange(size) == 0, 0.0, np.full((len(item), 1), -np.inf))
        pools: list[list[Hypothesis]] = [[] for _ in item]
        for length in range(1, int(limits.max()) + 1):
            made = self.run("step", {"token": tokens[:, :, -1], **memory, **state})
            logprob = log_softmax(made["logits"]).astype(np.float64)
            logprob[..., self.facts["suppress"]] = -np.inf
            forbid_repeats(logprob, tokens[:, :, 1:], own["no_repeat_ngram"])
            candidates = (total[..., None] + logprob).reshape(len(item), -1)
            place = best(candidates, 2 * size)
            value, parent, token = np.take_along_axis(candidates, place, 1), *np.divmod(place, logprob.shape[-1])
            going = np.argsort(token == eos, 1, kind="stable")[:, :size]
            for row, number in enumerate(item):
                ended = np.nonzero(token[row, :size] == eos)[0]
                for column in sorted([*ended, *(going[row] if length == limits[number] else ())]):
                    if (found := float(value[row, column])) > -np.inf:
                        ids = [*tokens[row, parent[row, column], 1:].tolist(), int(token[row, column])]
                        pools[number].append(Hypothesis([i for i in ids if i != eos], found, score(found, length)))
                pools[number] = sorted(pools[number], key=lambda one: -one.score)[:size]
            parent, token, total = (np.take_along_axis(part, going, 1) for part in (parent, token, value))
            keep = np.ones(len(item), bool)
            for row, number in enumerate(item):  # closed at its limit, by a full pool, or where none can enter it
                pool, limit, top = pools[number], limits[number], float(total[row, 0])
                beaten = len(pool) >= nbest and pool[nbest - 1].score >= score(top, limit)
                keep[row] = length < limit and len(pool) < size and top > -np.inf and not beaten
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
            first = np.diff(path, prepend=-1) != 0
            found.append(Hypothesis(path[first & (path != 0)].tolist(), total, total))
        return found

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text; an unknown one is ⁇. Raises ValueError for tokens that the vocabulary has not."""
        if max(tokens, default=0) >= 4 + len(self.vocab["tokens"]):
            raise ValueError(f"`tokens` must be below {4 + len(self.vocab['tokens'])}, got {max(tokens)}")
        parts = ["⁇" if token == 3 else self.vocab["tokens"][token - 4] for token in tokens if token > 2]
        if self.vocab["kind"] == "words":  # ￭ stands where no space was
            return " ".join(parts).replace(" ￭", "").replace("￭ ", "").replace("￭", "")
        joined = "".join(parts)
        subwords = self.vocab["kind"] == "subwords"
        joined = " ".join((joined.replace("▁", " ") if subwords else joined).split())
        return joined.replace("\ufdd0", "▁") if subwords else joined


def forbid_repeats(logprob: Any, tokens: Any, order: int) -> None:
    """Bar the tokens that would end an n-gram of this order a second time, in place."""
    for row, hypotheses in enumerate(tokens.tolist() if 0 < order <= tokens.shape[2] else ()):
        for place, ids in enumerate(hypotheses):
            tail = ids[len(ids) - order + 1 :]
            barred = [ids[i + order - 1] for i in range(len(ids) - order + 1) if ids[i : i + order - 1] == tail]
            logprob[row, place, barred] = -np.inf
