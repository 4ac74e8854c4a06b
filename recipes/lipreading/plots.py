"""Plots over a clip: attention of the audio-visual model, CTC posteriors and saliency maps of LipNet.

B batch, T time steps or tokens, S positions of a memory, V vocabulary, H and W pixels, C channels.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqkit.draw_time import double_attention, posteriors, saliency
from seqkit.score.prediction import Word

SHOWN = 8  # frames of a saliency plot


class Panel(NamedTuple):
    """A stream and the attention over it."""

    name: str
    stream: NDArray[Any]  # frames (T, H, W, 3) or features (T, F)
    weights_TS: NDArray[np.float32]  # a row a token
    seconds: float
    ctc_logits_TV: Tensor | None = None  # of the stream's CTC head, where there is one


def stream_image(stream: Tensor) -> NDArray[Any]:
    """A stream as it is drawn: frames (T, H, W, 3), features as they are."""
    pixels: NDArray[Any] = (stream.expand(-1, 3, -1, -1).permute(0, 2, 3, 1) if stream.ndim == 4 else stream).numpy()
    return pixels


def plot_attention(panels: Sequence[Panel], tokens: Sequence[str], path: Path, title: str) -> None:
    """Attention over every stream, on one axis of seconds."""
    double_attention([panel[:4] for panel in panels], tokens, path, title=title)


def plot_posteriors(
    logits_TV: Tensor, tokens: Sequence[str], words: Sequence[Word], path: Path, *, seconds: float
) -> None:
    """Posteriors of every frame over `seconds` in all, with the words above their times."""
    title, frame = " ".join(word.text for word in words), seconds / max(1, len(logits_TV))
    posteriors(logits_TV.softmax(-1), tokens, spans(words), path, seconds=frame, title=title)


def spans(words: Sequence[Word]) -> list[tuple[str, float, float]]:
    """Text, start and end of words with times."""
    return [(word.text, word.start or 0.0, word.end or 0.0) for word in words]


def plot_saliency(
    model: nn.Module, frames: Tensor, logits_TV: Tensor, words: Sequence[Word], path: Path, *, rate: float
) -> None:
    """A frame for every word, at most SHOWN, and below it the saliency of its pixels; `rate` is in frames a second."""
    timed = spans(words)
    chosen = [timed[n] for n in np.linspace(0, len(timed) - 1, min(SHOWN, len(timed))).astype(int)]
    places = [min(len(frames) - 1, int((start + end) / 2 * rate)) for _, start, end in chosen]
    maps_THW = guided_backpropagation(model, frames, logits_TV)
    title = " ".join(word.text for word in words)
    saliency(stream_image(frames[places]), maps_THW[places], [text for text, _, _ in chosen], path, title=title)


def guided_backpropagation(model: nn.Module, frames: Tensor, logits_TV: Tensor) -> Tensor:
    """How much each pixel (T, H, W) raises the logits of the likeliest path, by guided back-propagation.

    Springenberg et al. 2015, arXiv:1412.6806, section 3.4: only positive gradients pass a ReLU on the way back.
    """
    own = copy.deepcopy(model).cpu()
    for part in own.modules():
        if isinstance(part, nn.ReLU):
            part.register_full_backward_hook(keep_positive)
    pixels_BTCHW = (frames.float() / 255)[None].requires_grad_()
    found_BTV, _ = own(pixels_BTCHW, torch.tensor([len(frames)]))
    token_T = logits_TV.argmax(-1)
    said_T = token_T.nonzero()[:, 0]
    found_BTV[0, said_T, token_T[said_T]].sum().backward()
    assert pixels_BTCHW.grad is not None
    return pixels_BTCHW.grad[0].clamp(min=0).amax(1)


def keep_positive(
    _: nn.Module, grad_in: tuple[Tensor, ...] | Tensor, __: tuple[Tensor, ...] | Tensor
) -> tuple[Tensor, ...]:
    """A backward hook that passes on what is positive of the gradients."""
    return tuple(gradient.clamp(min=0) for gradient in grad_in)
