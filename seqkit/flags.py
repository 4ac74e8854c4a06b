"""Flags in, an exit status out: what every command of the project does alike, whatever it is about.

A mistake of the caller's is one line on standard error and exit status 2; a traceback and status 1 mean a bug.
Nothing here imports torch before a command is known to be well formed, so `--help` and misspelled flags answer at once.
"""

import argparse
import difflib
import errno
import functools
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from seqkit import __version__
from seqkit.config import nearest
from seqkit.data.text import printable
from seqkit.errors import InputError

if TYPE_CHECKING:
    import torch

CALLERS = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EFBIG,
    errno.ENAMETOOLONG,
)  # a path or disk, not a bug


PIPE = 1 << 16  # bytes that are read of a pipe at once
SYNONYMS = {  # what newcomers type, and the flags here that mean it, the first that the command has
    "gpu": ("device cuda",),
    "gpus": ("device cuda",),
    "cuda": ("device cuda",),
    "cpu": ("device cpu",),
    "no_cuda": ("device cpu",),
    "mps": ("device mps",),
    "fp16": ("precision bf16",),
    "amp": ("precision bf16",),
    "bf16": ("precision bf16",),
    "half": ("precision bf16",),
    "lr": ("learning_rate",),
    "batch": ("batch_budget", "decode_batch_size"),
    "batch_size": ("batch_budget", "decode_batch_size"),
    "bs": ("batch_budget", "decode_batch_size"),
    "max_tokens": ("batch_budget",),  # fairseq's
    "max_length": ("max_sentence", "max_question", "max_len"),
    "vocab_size": ("min_count",),
    "bpe": ("units",),
    "tokenizer": ("units",),
    "eval_batch_size": ("decode_batch_size",),
    "num_workers": ("workers",),
    "max_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "epoch": ("epochs",),
    "max_steps": ("steps",),
    "clip": ("max_grad_norm",),
    "grad_clip": ("max_grad_norm",),
    "clip_norm": ("max_grad_norm",),
    "accumulate": ("grad_accumulation",),
    "gradient_accumulation_steps": ("grad_accumulation",),
    "wd": ("weight_decay",),
    "warmup_steps": ("warmup",),
    "lr_scheduler": ("schedule",),
    "label_smooth": ("label_smoothing",),
    "smoothing": ("label_smoothing",),
    "hidden": ("decoder_dim", "hidden_dim", "video_dim", "text_dim"),
    "hidden_size": ("decoder_dim", "hidden_dim", "video_dim", "text_dim"),
    "hidden_dim": ("decoder_dim", "video_dim", "text_dim"),
    "embedding_dim": ("embed_dim",),
    "emb_dim": ("embed_dim",),
    "num_layers": ("encoder_layers", "decoder_layers", "layers", "text_layers", "video_layers"),
    "num_heads": ("heads",),
    "beam_size": ("beam",),
    "num_beams": ("beam",),
    "beam_width": ("beam",),
    "n_best": ("nbest",),
    "output": ("out",),
    "output_dir": ("out",),
    "save_dir": ("out",),
    "data_dir": ("data",),
    "dataset": ("data",),
    "checkpoint": ("run", "init"),
    "ckpt": ("run", "init"),
    "model": ("run", "init"),
    "model_path": ("run", "init"),
    "pretrained": ("init",),
    "finetune_from": ("init",),
    "resume_from": ("resume",),
    "ensemble": ("run",),
    "pictures": ("plots",),
    "plot": ("plots",),
    "subset": ("split",),
    "patience_epochs": ("patience",),
    "early_stopping": ("patience",),
}
WORKERS = "its data is read in the training process: leave it out"


NEGATIVE_NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)  # argparse takes -1e-3 for a flag


class Parser(argparse.ArgumentParser):
    """argparse that raises InputError, and shows help in columns wide enough for whole sentences."""

    def __init__(self, prog: str, description: str, **others: Any) -> None:
        columns = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=32)
        super().__init__(prog, description=description, allow_abbrev=False, formatter_class=columns, **others)
        self._negative_number_matcher = NEGATIVE_NUMBER

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The flags of `argv`, with `--learning-rate` read as `--learning_rate`; InputError names a misspelled one."""
    known, spelled = parser._option_string_actions, list(argv)
    for index, word in enumerate(argv):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name.startswith("--") and " " not in name:
            spelled[index] = name if name in known else "--" + name[2:].replace("-", "_")
            if spelled[index] not in known:
                raise InputError(f"`{name}` must be a flag of {parser.prog}{_advice(spelled[index][2:], known)}")
            spelled[index] += equals + value
    return parser.parse_intermixed_args(spelled)


def _advice(name: str, known: Collection[str]) -> str:
    """The flag that a synonym means here, or one of which the name is a part or a misspelling."""
    meant = [flag for flag in SYNONYMS.get(name, ()) if f"--{flag.split()[0]}" in known]
    if meant:
        return f"; did you mean `--{meant[0]}`? --help says more"
    if name in ("workers", "num_workers"):
        return f"; {WORKERS}"
    flags = [flag[2:] for flag in known if flag.startswith("--")]
    whole = [flag for flag in flags if f"_{flag}_".count(f"_{name}_") or (len(name) > 3 and flag.startswith(name))]
    close = whole or difflib.get_close_matches(name, flags, n=1, cutoff=0.75)
    return f"; did you mean `--{close[0]}`?" if close else ""


def run_cli(main: Callable[[list[str]], object], argv: Sequence[str] | None = None) -> int:
    """The exit status of `main(argv)`, with `sys.argv` unless given: 2 and one line for a mistake of the caller's.

    Errors of the file system that a caller can put right (no such file, no room left) count as theirs; an interrupt
    is status 130; a reader that stops reading ours ends the command quietly with 141, as `| head` does to any.
    """
    try:
        status = main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return int(status) if isinstance(status, int) else int(getattr(status, "exit_status", 0))
    except InputError as error:
        return _complain(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno not in CALLERS:
            raise
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def pick_device(name: str) -> "torch.device":
    """The named device; for `auto` the CUDA GPU where there is one, else the CPU. InputError where torch has none."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there.get(name):
        known = ", ".join(["auto", *(device for device, found in there.items() if found)])
        why = ", which torch finds no GPU for" if name in there else ""
        raise InputError(f"`--device` must be one of {known} on this machine, got {name}{why}")
    return torch.device(name)


def run_command(
    prog: str, commands: Mapping[str, tuple[str, Callable[[list[str]], object]]], argv: list[str]
) -> object:
    """Run the command that `argv` begins with; help and the version are answered here."""
    first = argv[0] if argv else ""
    if first in ("-h", "--help"):
        lines = (f"  {name:<10}{about}" for name, (about, _) in commands.items())
        print(f"usage: {prog} COMMAND …\n", *lines, f"\n`{prog} COMMAND --help` lists its flags.", sep="\n")
        return 0
    if first == "--version":
        print(f"seqkit {__version__}")
        return 0
    if first not in commands:
        found = f"`{first}`{nearest(first, commands)}" if first else "nothing"
        raise InputError(f"{prog}: the first word must be {', '.join(commands)} or --help, got {found}")
    return commands[first][1](argv[1:])


def _complain(line: str) -> int:
    print("error:", printable(" ".join(line.splitlines())), file=sys.stderr)
    return 2


def stdin_batches(*, paired: bool = False) -> Iterator[list[str]]:
    """Standard input, one input a line, in lists of the lines that are there: of a file all, of a pipe what was sent.

    paired: an input is two fields, each on a line or with a tab between them, and no list ends between the two.
    InputError where nobody pipes anything in or a line is not UTF-8; lines before it come first.
    """
    if sys.stdin.isatty():
        raise InputError("`INPUT` must be given, or piped in on standard input, got neither")
    read, number, held, rest = _stdin_reader(), 0, list[str](), b""
    while True:
        sent = read()
        *lines, rest = (rest + sent).split(b"\n")
        if not sent:
            lines, rest = [rest] if rest else [], b""
        texts, fault = held, None
        for line in lines:
            number += 1
            try:
                texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r"))
            except UnicodeDecodeError as error:
                fault = f"standard input, line {number}: must be UTF-8, got {line[error.start]:#x}"
                break
        odd = paired and sent and sum(1 + text.count("\t") for text in texts) % 2
        held = [texts.pop()] if odd else []
        if texts:
            yield texts
        if fault:
            raise InputError(fault)
        if not sent:
            return


def _stdin_reader() -> Callable[[], bytes]:
    """Reads all of a file, and of a pipe what it holds, waiting for more where it is empty."""
    stream = cast(io.BufferedReader, sys.stdin.buffer)
    try:
        whole = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # no file of the system's
        whole = True
    return stream.read if whole else lambda: stream.read1(PIPE)
