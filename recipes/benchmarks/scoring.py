"""`seqkit score` beside the scorers that others use: their figures, their time and their memory, on the same files.

    python recipes/benchmarks/scoring.py --text train.en.gz --captions Flickr8k.token.txt [--items N] [--tools BIN]

The references are the lines of --text, and captions 1 to 4 of each picture of --captions; hypotheses are made from them
by rule: words are dropped, doubled, or replaced by another of the corpus. Each command runs `--repeats` times in turn
with ours, and the median counts: seconds of the processor, and the most memory that it held, child processes included.
A scorer that is not installed is named and left out: `pip install jiwer sacrebleu "meeteval[cli]" pycocoevalcap`.
"""

import gzip
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from seqkit.flags import Parser, parse, run_cli
from seqkit.score.terminal import columns

CAPTIONS = """
import json, sys
from pycocoevalcap.eval import COCOEvalCap
from pycocotools.coco import COCO
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
coco = COCO(sys.argv[1])
found = coco.loadRes(sys.argv[2])
tokenizer, ids = PTBTokenizer(), coco.getImgIds()
references = tokenizer.tokenize({i: coco.imgToAnns[i] for i in ids})
hypotheses = tokenizer.tokenize({i: found.imgToAnns[i] for i in ids})
values = Bleu(4).compute_score(references, hypotheses, verbose=0)[0]
values += [scorer.compute_score(references, hypotheses)[0] for scorer in (Cider(), Rouge())]
print(json.dumps([float(value) for value in values]), file=sys.stderr)
"""
# A small process in between: a command's most memory is never less than that of what starts it.
MEASURED = """
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}")
sys.exit(os.waitstatus_to_exitcode(status))
"""

Reader = Callable[[str, str], list[float]]  # from what a command prints and what it complains, to values on our scale


class Run(NamedTuple):
    """One run of a command."""

    values: list[float]
    seconds: float  # of the processor
    megabytes: float


class Rival(NamedTuple):
    """A scorer's command, ours for the same metrics, and how its output is read."""

    name: str
    command: list[str]
    ours: list[str]
    read: Reader


def perturbed(lines: Sequence[str], seed: int) -> list[str]:
    """Makes hypotheses from references by rule."""
    draw, words = random.Random(seed), [word for line in lines[:2000] for word in line.split()]
    made = []
    for line in lines:
        kept: list[str] = []
        for word in line.split():
            chance = draw.random()
            kept += [] if chance < 0.08 else [draw.choice(words)] if chance < 0.2 else [word] * (1 + (chance > 0.97))
        made.append(" ".join(kept) or line)
    return made


def measure(command: Sequence[str], read: Reader, folder: Path) -> Run:
    """Runs a command. Raises RuntimeError with what it printed where it fails."""
    measured = [sys.executable, "-S", "-E", "-c", MEASURED, "usage", *command]
    done = subprocess.run(measured, cwd=folder, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} must end with 0, got {done.returncode}: {done.stderr[-500:]}")
    seconds, most = (folder / "usage").read_text().split()
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of `ru_maxrss`
    return Run(read(done.stdout, done.stderr), float(seconds), int(most) * unit / 2**20)


def own_values(printed: str, _: str) -> list[float]:
    """The values of `seqkit score --json`, and after them the p-values of its tests."""
    found = json.loads(printed)
    values = [metric["value"] for metric in found["systems"][0]["metrics"].values()]
    return values + [test["p_value"] for pair in found["pairs"] for test in pair["metrics"].values()]


def write_text(folder: Path, lines: Sequence[str]) -> None:
    """Writes the same references and hypotheses as plain lines, and as SegLST for meeteval."""
    systems = {"ref": lines, "hyp": perturbed(lines, 1), "other": perturbed(lines, 2)}
    for name, texts in systems.items():
        (folder / name).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        segments = [{"session_id": str(n), "speaker": "a", "words": text} for n, text in enumerate(texts)]
        (folder / f"{name}.json").write_text(json.dumps(segments), encoding="utf-8")


def write_captions(folder: Path, captions: dict[str, list[str]]) -> None:
    """Writes COCO's annotations and results."""
    entries = [(number, text) for number, texts in enumerate(captions.values(), 1) for text in texts[1:]]
    annotations = [{"image_id": number, "id": n, "caption": text} for n, (number, text) in enumerate(entries, 1)]
    images = [{"id": number} for number in range(1, len(captions) + 1)]
    whole = {"info": {}, "type": "captions", "licenses": [], "images": images, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(whole))
    made = perturbed([texts[0] for texts in captions.values()], 3)
    results = [{"image_id": number, "caption": text} for number, text in enumerate(made, 1)]
    (folder / "results.json").write_text(json.dumps(results))


def read_sacrebleu(printed: str, _: str) -> list[float]:
    found = json.loads(printed)
    return [metric["score"] for metric in (found if isinstance(found, list) else [found])]


def read_jiwer(printed: str, _: str) -> list[float]:
    return [100 * float(printed)]


def read_meeteval(printed: str, complained: str) -> list[float]:
    errors, length = re.findall(r"\[ (\d+) / (\d+),", printed + complained)[-1]
    return [100 * int(errors) / int(length)]


def read_coco(_: str, complained: str) -> list[float]:
    return [100 * value for value in json.loads(complained.strip().splitlines()[-1])]


def rivals(tools: Path, text: bool, captions: bool) -> list[Rival]:
    """The commands to run; a scorer that is missing is named on standard error."""
    jiwer, meeteval = [str(tools / "jiwer"), "-r", "ref", "-h", "hyp"], [str(tools / "meeteval-wer"), "wer"]
    segments = ["-r", "ref.json", "-h", "hyp.json", "--average-out=average.json", "--per-reco-out=per.json"]
    bleu = [str(tools / "sacrebleu"), "ref", "-i", "hyp", "-w", "14", "-m"]
    pictures = [str(tools / "python"), "-c", CAPTIONS, "annotations.json", "results.json"]
    several = "bleu1,bleu2,bleu3,bleu4,cider,rouge_l"
    known: list[tuple[str, list[str], str, Reader]] = [
        ("jiwer, WER", jiwer, "wer", read_jiwer),
        ("jiwer, CER", [*jiwer, "-c"], "cer", read_jiwer),
        ("meeteval, WER", [*meeteval, *segments], "wer", read_meeteval),
        ("sacrebleu, BLEU", [*bleu, "bleu"], "bleu", read_sacrebleu),
        ("sacrebleu, chrF++", [*bleu, "chrf", "--chrf-word-order", "2"], "chrf++", read_sacrebleu),
        ("sacrebleu, TER", [*bleu, "ter"], "ter", read_sacrebleu),
        ("sacrebleu, BLEU and chrF, intervals", [*bleu, "bleu", "chrf", "--confidence"], "bleu,chrf", read_sacrebleu),
        ("pycocoevalcap, BLEU, CIDEr, ROUGE-L", pictures, several, read_coco),
    ]
    score, chosen = [sys.executable, "-m", "seqkit", "score", "--json", "--raw", "--metric"], []
    for name, command, metrics, read in known:
        own = ["--tokenize", "ptb", "annotations.json", "results.json"] if read is read_coco else ["ref", "hyp"]
        if captions if read is read_coco else text:
            chosen.append(Rival(name, command, [*score, metrics, *own], read))
    found = [rival for rival in chosen if installed(rival, tools)]
    for name in dict.fromkeys(rival.name.split(",")[0] for rival in chosen if rival not in found):
        print(f"{name} is not installed in {tools} and is left out", file=sys.stderr)
    return found


def installed(rival: Rival, tools: Path) -> bool:
    """Whether the scorer is there, and for captions also Java."""
    there = shutil.which(rival.command[0]) is not None
    if not there or not rival.name.startswith("pycocoevalcap"):
        return there
    command = [str(tools / "python"), "-c", "import pycocoevalcap, pycocotools"]
    return shutil.which("java") is not None and subprocess.run(command, capture_output=True).returncode == 0


def compared(rival: Rival, folder: Path, repeats: int) -> list[str]:
    """One row of the table."""
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(measure(rival.command, rival.read, folder))
        ours.append(measure(rival.ours, own_values, folder))
    difference = max(abs(a - b) for a, b in zip(theirs[0].values, ours[0].values, strict=True))
    seconds = [statistics.median(run.seconds for run in runs) for runs in (theirs, ours)]
    memory = [statistics.median(run.megabytes for run in runs) for runs in (theirs, ours)]
    values = " ".join(f"{value:.2f}" for value in ours[0].values)
    return [
        rival.name,
        values,
        f"{difference:.0e}" if difference else "0",
        f"{seconds[0]:.2f} / {seconds[1]:.2f} = {seconds[0] / seconds[1]:.2f}",
        f"{memory[0]:.0f} / {memory[1]:.0f} = {memory[0] / memory[1]:.2f}",
    ]


def main(argv: Sequence[str]) -> None:
    parser = Parser("scoring", "`seqkit score` beside jiwer, meeteval, sacrebleu and pycocoevalcap.")
    parser.add_argument("--text", metavar="FILE", type=Path, help="references, one a line, plain or .gz")
    parser.add_argument("--captions", metavar="FILE", type=Path, help="captions as Flickr8k.token.txt has them")
    parser.add_argument("--items", metavar="N", type=int, default=5000, help="lines, and pictures, to use [5000]")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="runs of each command [3]")
    parser.add_argument(
        "--tools", metavar="BIN", type=Path, default=Path(sys.executable).parent, help="folder of the other programs"
    )
    given = parse(parser, list(argv))
    rows = [["scorer", "our values", "difference", "seconds: theirs / ours", "MiB: theirs / ours"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.text:
            opened = gzip.open if given.text.suffix == ".gz" else open
            with opened(given.text, "rt", encoding="utf-8") as file:
                lines = [" ".join(line.split()) for line in file]
            write_text(folder, [line for line in lines if len(line) > 1][: given.items])
        if given.captions:
            captions: dict[str, list[str]] = {}
            for line in given.captions.read_text(encoding="utf-8").splitlines():
                picture, text = line.split("\t")
                captions.setdefault(picture.split("#")[0], []).append(text)
            write_captions(folder, dict(list(captions.items())[: given.items]))
        for rival in rivals(given.tools.absolute(), bool(given.text), bool(given.captions)):
            rows.append(compared(rival, folder, given.repeats))
    print(columns(rows, left=2))


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
