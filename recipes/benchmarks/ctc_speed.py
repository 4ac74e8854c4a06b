"""Speed of CTC prefix beam search, beside torchaudio's decoder where `flashlight-text` is installed.

    python recipes/benchmarks/ctc_speed.py [--beam 200] [--frames 75] [--symbols 28] [--items 64] [--batch 16]
        [--peak 6] [--lm FILE] [--device cpu]

The posteriors are those of a random text with `--peak` added to the logits of its frames, the blank between; with
`--logits FILE`, an .npy of shape (items, frames, vocabulary) with PAD BOS EOS UNK first, real ones. Both decoders get
one thread. On the CPU the time is the processor's, so other work on the machine does not count.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqkit.data.vocab import SPECIALS
from seqkit.decode import Search, prefix_beam
from seqkit.decode.search import Scorers
from seqkit.flags import Parser, parse, pick_device, run_cli
from seqkit.nn.ctc import ctc_loss
from seqkit.recipes.language_model.scorer import load_scorer

NUMBERS = (
    ("beam", 200, "prefixes kept"),
    ("frames", 75, "frames an item"),
    ("items", 64, "items"),
    ("symbols", 28, "tokens besides the specials"),
    ("batch", 16, "items decoded together"),
)
LETTERS = " abcdefghijklmnopqrstuvwxyz'"


def posteriors(items: int, frames: int, symbols: int, peak: float) -> Tensor:
    """Logits (B, T, V) of random texts, a token every third frame or so; the specials are never likely."""
    generator = torch.Generator().manual_seed(1)
    token_BT = torch.randint(4, 4 + symbols, (items, frames), generator=generator)
    token_BT[torch.rand(items, frames, generator=generator) > 1 / 3] = 0
    logits_BTV = torch.randn(items, frames, 4 + symbols, generator=generator)
    logits_BTV += peak * torch.nn.functional.one_hot(token_BT, 4 + symbols)
    logits_BTV[..., 1:4] = -30.0
    return logits_BTV


def ours(logits_BTV: Tensor, search: Search, scorers: Scorers, batch: int) -> list[list[int]]:
    """The best text of every item, so many items together."""
    found: list[list[int]] = []
    for part_BTV in torch.split(logits_BTV, batch):
        lengths_B = torch.full((len(part_BTV),), part_BTV.shape[1], device=part_BTV.device)
        found += [best.tokens for best, *_ in prefix_beam(part_BTV, lengths_B, search, scorers=scorers)]
    return found


def timed(decode: Callable[[], list[list[int]]], device: torch.device) -> tuple[float, list[list[int]]]:
    """Seconds, and what was decoded."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    found = decode()
    return clock() - began, found


def theirs(logits_BTV: Tensor, beam: int) -> Callable[[], list[list[int]]] | None:
    """torchaudio's decoder over the same tokens; None where it is not installed."""
    try:
        from torchaudio.models.decoder import ctc_decoder
    except (ImportError, RuntimeError):  # no torchaudio, or no flashlight in it
        return None
    tokens = ["-", "|", *(f"t{i}" for i in range(logits_BTV.shape[2] - 2))]
    decoder = ctc_decoder(
        lexicon=None, tokens=tokens, beam_size=beam, log_add=True, blank_token="-", sil_token="|", unk_word="t0"
    )
    logprob_BTV, lengths_B = logits_BTV.log_softmax(-1), torch.full((len(logits_BTV),), logits_BTV.shape[1])
    # A silence stands at both ends of what theirs says.
    return lambda: [best.tokens.tolist()[1:-1] for best, *_ in decoder(logprob_BTV, lengths_B)]


def compare(logits_BTV: Tensor, mine: list[list[int]], other: list[list[int]]) -> str:
    """How often both say the same, and whose text is the likelier where they differ."""
    frames_B = torch.full((len(mine),), logits_BTV.shape[1])
    losses = []
    for texts in mine, other:
        lengths_B = torch.tensor([len(text) for text in texts])
        rows = [[*text] + [0] * (int(lengths_B.max()) - len(text)) for text in texts]
        losses.append(ctc_loss(logits_BTV.double(), frames_B, torch.tensor(rows), lengths_B))
    same = sum(a == b for a, b in zip(mine, other, strict=True))
    better = int((losses[0] < losses[1] - 1e-6).sum())
    worse = int((losses[0] > losses[1] + 1e-6).sum())
    return f"the same text for {same} of {len(mine)}; ours likelier {better} times, theirs {worse} times"


def main(argv: Sequence[str]) -> None:
    parser = Parser("ctc_speed", "Speed of the prefix beam.")
    for name, default, about in NUMBERS:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{about} (default: {default})")
    parser.add_argument("--peak", type=float, default=6.0, help="logits above the noise (default: 6)")
    parser.add_argument("--logits", type=Path, help="an .npy of real logits in place of random ones")
    parser.add_argument("--lm", type=Path, help="a run or file of a language model of characters, to time with it too")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu", help="of ours (default: cpu)")
    given = parse(parser, list(argv))
    torch.set_num_threads(1)
    device, search = pick_device(given.device), Search(beam=given.beam)
    logits_BTV = (
        torch.from_numpy(np.load(given.logits)).float()
        if given.logits
        else posteriors(given.items, given.frames, given.symbols, given.peak)
    )
    tokens = [*SPECIALS, *LETTERS][: logits_BTV.shape[2]]
    scorers: dict[str, Scorers] = {"": []} | (
        {" with language model": [(load_scorer(given.lm, tokens, device), 0.5)]} if given.lm else {}
    )
    rates: dict[str, float] = {}
    texts: list[list[int]] = []
    for name, own in scorers.items():
        ours(logits_BTV[:1].to(device), search, own, 1)  # the first call makes and loads what later ones find
        seconds, mine = timed(partial(ours, logits_BTV.to(device), search, own, given.batch), device)
        texts = texts or mine
        rates[name] = len(mine) / seconds
        print(f"ours{name}: {rates[name]:.1f} items a second, beam {given.beam}, batch {given.batch}, {device}")
    if (other := theirs(logits_BTV, given.beam)) is None:
        print("torchaudio's decoder is not there: pip install flashlight-text")
        return
    seconds, found = timed(other, torch.device("cpu"))
    rate = len(found) / seconds
    print(f"torchaudio's: {rate:.1f} items a second; ours is {rates[''] / rate:.2f} of it")
    print(compare(logits_BTV, texts, found))


if __name__ == "__main__":
    sys.exit(run_cli(main))
