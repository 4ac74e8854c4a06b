"""The README.md beside exported graphs: inputs, outputs, shapes, units, and how to call them from Python."""

from collections.abc import Sequence

from seqkit.export.graph import Export, Graph, Input

USE = {
    "attention": """\
import numpy as np
from beam import Model, pad

model = Model(".")
{inputs}
for hypotheses in model.search(beam=5, nbest=2, {given}):
    for tokens, logprob, score in hypotheses:
        print(model.text(tokens), logprob, score)
""",
    "ctc": """\
import numpy as np
from beam import Model, pad

model = Model(".")
{inputs}
for tokens, logprob, score in model.ctc({given}):
    print(model.text(tokens), logprob)
""",
    "whole": """\
import numpy as np
from beam import Model, pad

model = Model(".")
{inputs}
outputs = model.run("model", dict({given}))
for name, values in outputs.items():
    print(name, values.shape)
""",
}
SEARCH = """\
`model.search` is beam search, greedy with `beam=1`; `model.facts["search"]` holds the run's options, which may be
changed: `length_penalty` (`average`, `wu` or null), `alpha` of wu, `max_len` in tokens (0: as the encoder says) and
`no_repeat_ngram`. The first axis of state and tokens is the batch, the second the hypotheses of an item: the memories
stand once an item."""
PRECISION = {
    False: "All weights are 32-bit floats.",
    True: "Weights of matrix products, embeddings and LSTMs are 8-bit, quantized dynamically; left at 32 bits: {left}.",
}


def readme(name: str, export: Export, left: str | None) -> str:
    """The text; `left` says what 8-bit export left as it was, None where weights are floats."""
    lines = [f"# {name}", "", "Graphs of ONNX, exported by `seqkit export`. `beam.py` needs numpy and onnxruntime."]
    for graph in export.graphs:
        lines += ["", f"## {graph.name}.onnx", "", *table(graph)]
    lines += ["", "## Use", "", "```python", example(export).rstrip(), "```", ""]
    if export.kind == "attention":
        lines += [SEARCH, ""]
    lines += [f"- {line}" for line in (PRECISION[left is not None].format(left=left), *export.about)]
    for vocabulary in export.vocabularies:
        lines.append(
            f"- `{vocabulary}.json` lists the tokens of the ids from 4 on; 0 to 3 are padding, begin, end, unknown."
        )
    return "\n".join(lines) + "\n"


def table(graph: Graph) -> list[str]:
    """Inputs with shapes and units, and the outputs."""
    lines = ["| input | type | shape | what |", "|---|---|---|---|"]
    for one in graph.inputs:
        kind = str(one.dtype).removeprefix("torch.")
        lines.append(f"| {one.name} | {kind} | ({', '.join(map(str, one.axes))}) | {one.about} |")
    return [*lines, "", f"Outputs: {', '.join(graph.outputs)}."]


def example(export: Export) -> str:
    """Ten lines of Python that call the graphs with inputs of the right shapes."""
    inputs = export.graphs[0].inputs
    names = [one.name for one in inputs]
    lines, made = [], set[str]()
    for one in inputs:
        if one.name in made:
            continue
        paired = f"{one.name}_lengths" in names
        lines.append(f"{f'{one.name}, {one.name}_lengths' if paired else one.name} = {values(one, paired)}")
        made |= {one.name, f"{one.name}_lengths"}
    given = ", ".join(f"{name}={name}" for name in names)
    return USE[export.kind].format(inputs="\n".join(lines), given=given)


def values(one: Input, paired: bool) -> str:
    """An expression for two items."""
    kind = "bool" if "bool" in str(one.dtype) else str(one.dtype).removeprefix("torch.")
    if paired and len(one.axes) == 2:
        return f"pad([[4, 5, 6], [4, 5]])  # {one.about}"
    rest = sizes(one.axes[2:] if paired else one.axes[1:])
    if paired:
        return f"pad([np.zeros((count, {rest}), np.{kind}) for count in (40, 30)], np.{kind})"
    return f"np.ones((2, {rest}), np.{kind})" if rest else f"np.ones(2, np.{kind})"


def sizes(axes: Sequence[str | int]) -> str:
    """Sizes as text, free ones some number."""
    return ", ".join(str(axis) if isinstance(axis, int) else "3" for axis in axes)
