"""What the speller attended to while it wrote, for one clip: pictures of predict, and the video with its text.

T tokens, S positions of a memory.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seqkit.data.batch import Example, collate
from seqkit.data.manifest import Item
from seqkit.decode import score_targets
from seqkit.draw_time import double_attention
from seqkit.recipes.common.search_options import Written
from seqkit.recipes.lipreading.attention_model import System
from seqkit.recipes.lipreading.augmentation import Show
from seqkit.recipes.lipreading.data import spelt_words
from seqkit.recipes.lipreading.raw_video import SOUND, write_subtitled

LEAD = 0.2  # seconds by which a word is shown before it is attended to


@torch.no_grad()
def attention(system: System, streams: tuple[Tensor, ...], spelt: Written) -> list[Tensor]:
    """For every memory the weights (T, S) of the text's tokens."""
    batch = collate([Example(0, streams, spelt.hypothesis.tokens)]).to(system.device)
    memories = system.model.make_memory(system.model.encode(batch.streams))
    forced = score_targets(system.model.decoder, memories, batch.inputs_BT, batch.targets_BT, batch.lengths_B)
    return [weights_BTS[0, : len(spelt.hypothesis.tokens)].cpu() for weights_BTS in forced.weights]


def draw(system: System, show: Show, item: Item, spelt: Written, source: Path, stem: Path) -> None:
    """STEM.png, both attentions over time; of a video also STEM.mp4, a copy with the words when they are said."""
    if not spelt.hypothesis.tokens:
        return
    streams = show.streams(item, "both")
    weights = attention(system, streams, spelt)
    tokens = [system.vocab.token(i) for i in spelt.hypothesis.tokens]
    panels = []
    for name, stream, weights_TS in zip(show.inputs, streams, weights, strict=True):
        if not len(stream):
            continue
        pixels = stream.ndim == 4
        seconds = len(stream) / (25 if pixels or name == "watch" else 100)
        shown = stream.expand(-1, 3, -1, -1).permute(0, 2, 3, 1) if pixels else stream
        panels.append(("video" if name == "watch" else "sound", shown.numpy(), weights_TS.numpy(), seconds))
    double_attention(panels, tokens, stem.with_name(stem.name + ".png"), title=spelt.text)
    if source.suffix.lower() not in (".npy", *SOUND):
        write_subtitled(source, times(panels, tokens), stem.with_name(stem.name + ".mp4"))


def times(panels: list[tuple[str, np.ndarray, np.ndarray, float]], tokens: list[str]) -> list[tuple[str, float, float]]:
    """The words and when they are said: where the first stream was attended to on average."""
    _, _, weights_TS, seconds = panels[0]
    place_T = weights_TS @ ((np.arange(weights_TS.shape[1]) + 0.5) / weights_TS.shape[1] * seconds)
    places = zip(tokens, place_T.tolist(), strict=True)
    return spelt_words(((token, max(0.0, place - LEAD), place + LEAD) for token, place in places), spelt=True)
