"""The model card of a run: what it learned from, how good it is and on what, its limits, and three lines that use it.

Figures are evaluation results as the Hub's reader takes them, with their 95 % intervals as arguments of the metric.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqkit import __version__
from seqkit.config import yaml_text
from seqkit.data.files import read_json
from seqkit.data.text import printable
from seqkit.described import described
from seqkit.tasks import TASKS
from seqkit.train import checkpoint

KINDS = {"bleu1": "bleu", "bleu2": "bleu", "bleu3": "bleu", "bleu4": "bleu", "rouge_l": "rouge"}
"""metrics by the Hub's word for them, where it is another"""
KINDS |= {"vqa_accuracy": "accuracy", "iou_0.5": "accuracy"}
SPLITS = ("train", "val", "test")


@described
class CardOptions(NamedTuple):
    """What a card says that no run knows."""

    license: str
    """identifier of the Hub, such as mit"""
    dataset: str = ""
    """name of the corpus; empty: that of its folder"""
    language: Sequence[str] = ()
    """codes of ISO 639"""


class Report(NamedTuple):
    """One evaluation of the run: the name of its folder, of its corpus, and what report.json holds."""

    name: str
    dataset: str
    facts: Mapping[str, Any]


def model_card(
    run: Path, folder: Path, name: str, stored: Mapping[str, Any], lacking: Sequence[str], options: CardOptions
) -> str:
    """The text of README.md for the repository `name`; `folder` holds its files, `stored` is the run's config, and
    `lacking` names search options that were left out."""
    from huggingface_hub import ModelCardData

    task, title = str(stored["recipe"]), name.split("/")[-1]
    dataset = options.dataset or Path(str(stored.get("data", ""))).name or "unnamed data"
    reports = read_reports(run, dataset)
    results = [result for report in reports for result in evaluation_results(task, report)]
    data = ModelCardData(
        license=options.license,
        language=list(options.language) or None,
        library_name="seqkit",
        pipeline_tag=TASKS[task].pipeline,
        tags=["seqkit", task],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=title,
        eval_results=results or None,
    )
    if not results:
        data.pop("model_name")
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {title}\n\n{TASKS[task].about.capitalize()}: a model of seqkit {__version__}, recipe `{task}`.",
        f"## Use\n\n{use(task, name)}",
        f"## Data\n\n{about_data(stored, dataset)}",
        f"## Training\n\n{about_training(folder)}",
        f"## Results\n\n{table(reports)}",
        "## Limits\n\n" + "\n".join(f"- {line}" for line in limits(dataset, reports, lacking)),
    ]
    return "\n\n".join(parts) + "\n"


def read_reports(run: Path, dataset: str) -> list[Report]:
    """The evaluations of a run, by name; one on other data than the run's has that in its folder's name."""
    found = []
    for path in sorted(run.glob("evaluate/*/report.json")):
        other = re.search(r"(?:^|_)data=([^_=]+)", path.parent.name)
        facts = read_json(path)
        found.append(Report(path.parent.name, other[1].strip(".-") if other else dataset, facts))
    return found


def evaluation_results(task: str, report: Report) -> list[Any]:
    """The figures of a report as the Hub has them, on a scale of 0 to 100; interval and search are arguments."""
    from huggingface_hub import EvalResult

    facts, found = report.facts, []
    for metric, score in facts["metrics"].items():
        if score["value"] is None:
            continue
        about = {"low": rounded(score["low"]), "high": rounded(score["high"]), "interval": "95 % bootstrap"}
        about |= {"items": facts["items"], "signature": score["signature"], "evaluation": report.name}
        found.append(
            EvalResult(
                task_type=TASKS[task].pipeline,
                dataset_type=slug(report.dataset),
                dataset_name=report.dataset,
                dataset_split=facts["split"],
                metric_type=KINDS.get(metric, metric),
                metric_value=rounded(score["value"]),
                metric_name=metric,
                metric_args=about,
            )
        )
    return found


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-") or "data"


def rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 2)


def use(task: str, name: str) -> str:
    """Three lines of Python, and the command."""
    address, given = f"hf://{name}", TASKS[task].inputs
    words = " ".join(f'"{word}"' for word in re.findall(r'"([^"]*)"', given))
    program = f'import seqkit\nmodel = seqkit.load("{address}")\nprint(model.predict({given}))'
    return (
        f'```sh\npip install "seqkit[hub]"\nseqkit {task} predict --run {address} {words}\n```\n\n'
        f"```python\n{program}\n```\n\n"
        f"`{address}@REVISION` pins a commit, tag or branch. Nothing in this repository is a program."
    )


def about_data(stored: Mapping[str, Any], dataset: str) -> str:
    """The corpus, how many items its manifests have where they are still there, and their hash."""
    folder, counts = Path(str(stored.get("data", ""))), []
    for split in SPLITS:
        if (path := folder / f"{split}.jsonl").is_file():
            with path.open("rb") as file:
                counts.append(f"{sum(1 for line in file if line.strip()):,} items in `{split}`")
    listed = f": {', '.join(counts)}" if counts else ""
    digest = f" SHA-256 of the manifests: `{stored['data_sha256']}`." if stored.get("data_sha256") else ""
    return f"Trained on {printable(dataset)}{listed}.{digest}"


def about_training(folder: Path) -> str:
    """Size, steps, and the figures by which this checkpoint was chosen."""
    meta, lines = checkpoint.read_meta(folder), []
    if (folder / checkpoint.WEIGHTS).is_file():
        count = sum(weight.numel() for weight in {id(w): w for w in checkpoint.read_weights(folder).values()}.values())
        lines.append(f"{count:,} numbers in `{checkpoint.WEIGHTS}`")
    if "step" in meta:
        lines.append(f"best of all validations after {meta['step']:,} steps")
    if "seconds" in meta:
        lines.append(f"{meta['seconds']:,.0f} seconds")
    chosen = ", ".join(f"{name} {value:.2f}" for name, value in meta.get("metrics", {}).items())
    lines += [f"on the validation set then: {chosen}"] if chosen else []
    return f"{'; '.join(lines) or 'Not recorded'}. All options are in `config.json`."


def table(reports: Sequence[Report]) -> str:
    """All figures, with intervals and how they were computed."""
    if not reports:
        return "None was measured but those of training."
    rows, signatures = ["| data | split | items | metric | value | 95 % interval | search |"], dict[str, str]()
    rows.append("|---|---|---|---|---|---|---|")
    for report in reports:
        facts = report.facts
        search = ", ".join(f"{key} {yaml_text(value)}" for key, value in facts["decode"].items() if key == "beam")
        changed = ", ".join(
            part.replace("=", " ") for part in report.name.split("_")[1:] if "=" in part and "data=" not in part
        )
        for metric, score in facts["metrics"].items():
            low, high = rounded(score["low"]), rounded(score["high"])
            value = f"{metric} | {rounded(score['value'])} | {low} to {high}"
            rows.append(f"| {report.dataset} | {facts['split']} | {facts['items']:,} | {value} | {changed or search} |")
            signatures[metric] = score["signature"]
    return "\n".join([*rows, "", *(f"- {metric}: `{text}`" for metric, text in signatures.items())])


def limits(dataset: str, reports: Sequence[Report], lacking: Sequence[str]) -> list[str]:
    """What a user should know before relying on it."""
    lines = [f"It learned from {dataset} alone; how it does on anything else is not known."]
    if not reports:
        lines.append("It was not evaluated after training.")
    lines += [f"`{name}` was a file of its own and is not part of this model: it searches without." for name in lacking]
    for report in reports:
        lines += [f"{report.name}, {line}" for line in (*spread(report.facts), *report.facts.get("remarks", ()))]
    return [printable(" ".join(line.splitlines())) for line in lines]


def spread(facts: Mapping[str, Any]) -> list[str]:
    """For every breakdown of a report the groups with the lowest and the highest first metric."""
    metric, lines = next(iter(facts["metrics"]), ""), []
    for name, groups in facts.get("by", {}).items():
        values = {group: found[metric]["value"] for group, found in groups.items() if metric in found}
        known = {group: value for group, value in values.items() if value is not None}
        if len(known) > 1:
            low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
            lines.append(f"by {name}: {metric} from {known[low]:.1f} ({low}) to {known[high]:.1f} ({high})")
    return lines
