"""Published files as tests write them, and preparation scripts as they run them."""

import json
from pathlib import Path


def write_lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def stats(folder: Path) -> dict:
    return json.loads((folder / "stats.json").read_text())


def run(script, raw: Path, out: Path, *argv: str) -> None:
    script.main(["--raw", str(raw), "--out", str(out), "--workers", "1", *argv])
