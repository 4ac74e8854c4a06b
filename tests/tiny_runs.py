"""A run of every recipe that trains in seconds: its corpus, its flags, and what it predicts."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from seqkit.cli import main
from seqkit.data.manifest import Item, read_manifest, write_manifest
from seqkit.data_prep.synthetic.corpora import make
from seqkit.data_prep.synthetic.speech import lipreading

TEXT = {"embed_dim": 8}
IMAGES = {"backbone": "small_cnn", "weights": "random", "image_size": 32, "output_stage": "null", **TEXT}
VIDEO = {"crop_size": "36,40", "frame_size": "16,16", "crop_jitter": 0, "video_dim": 8, "frontend_norm": "false"}
RNN = {"encoder_dim": 8, "decoder_dim": 8, "attention_dim": 8, "readout_dim": 8}
FIELDS: dict[str, dict[str, object]] = {  # changes of each recipe's preset tiny
    "translation": {"vocab_size": 120, **TEXT, **RNN},
    "captioning": {**IMAGES, "decoder_dim": 8, "attention_dim": 8, "proj_dim": 8, "readout_dim": 8},
    "vqa": {**IMAGES, "text_dim": 8, "attention_dim": 8, "fused_dim": 32},
    "grounding": {**IMAGES, "text_dim": 8, "attention_dim": 8, "fused_dim": 32},
    "lipnet": {**VIDEO, "normalize": "corpus", "window_dim": 8, "lm_order": 3, "beam": 4, "lm": "null"},
    "wlas": {
        **VIDEO, "normalize": "corpus", "audio_dim": 8, "audio_channels": 8, "embed_dim": 8, "decoder_dim": 8,
        "attention_dim": 8, "readout_dim": 8,
    },
    "language_model": {"hidden_dim": 8, **TEXT},
}  # fmt: skip
SHORT = {"steps": 3, "warmup": 0, "ema_decay": 0}


def words(fields: dict[str, object]) -> list[str]:
    return [word for name, value in fields.items() for word in (f"--{name}", str(value))]


def train(task: str, data: Path, out: Path, *flags: object, **fields: object) -> int:
    """The status of a training of preset tiny."""
    given = words({**FIELDS[task], **SHORT, **fields})
    return main([task, "train", "--preset", "tiny", "--data", str(data), "--out", str(out), *given, *map(str, flags)])


def corpus(task: str, folder: Path, *, items: int = 12, seed: int = 1) -> Path:
    """A small corpus for a recipe."""
    if task in ("lipnet", "wlas"):
        lipreading(folder, items, seed=seed, words=3, size=40)
    else:
        make("translation" if task == "language_model" else task, folder, items=items, seed=seed)
    return folder


def rewritten(data: Path, out: Path, change: Callable[[str], str]) -> Path:
    """The same corpus with other texts."""

    def changed(item: Item) -> Item:
        return dataclasses.replace(
            item,
            source=item.source and change(item.source),
            question=item.question and change(item.question),
            references=item.references if item.boxes else tuple(map(change, item.references)),
            words=tuple((change(word), start, end) for word, start, end in item.words),
        )

    for path in data.glob("*.jsonl"):
        write_manifest(out / path.name, map(changed, read_manifest(path)))
    return out


def evaluate(task: str, data: Path, *runs: Path, split: str = "val") -> list[tuple[str, float]]:
    """What runs together predict of a split, and the log-probabilities."""
    command = [task, "evaluate", "--run", *map(str, runs), "--data", str(data), "--split", split, "--name", "test"]
    assert main(command) == 0
    lines = (runs[0] / "evaluate/test/hypotheses.jsonl").read_text(encoding="utf-8").splitlines()
    return [(line["hypothesis"], line["logprob"]) for line in map(json.loads, lines)]
