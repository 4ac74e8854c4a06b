"""What a lip reader looks at and what it believes, for one clip: pictures of predict.

B batch, T frames, V vocabulary, K frames shown, H and W pixels.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seqkit.draw_time import posteriors, saliency
from seqkit.recipes.lipreading.ctc_model import LipReader, System, Words

SHOWN = 8  # frames of one picture


def draw(system: System, frames: Tensor, logits_TV: Tensor, words: Words, stem: Path, *, rate: float) -> None:
    """STEM.png, the posteriors over time, and where frames are pixels STEM_saliency.png, a frame for every word."""
    title = " ".join(word for word, _, _ in words)
    tokens = ["blank" if i == 0 else system.vocab.token(i) for i in range(len(system.vocab))]
    seconds = len(frames) / rate / max(1, len(logits_TV))
    posteriors(logits_TV.softmax(-1), tokens, words, stem.with_name(stem.name + ".png"), seconds=seconds, title=title)
    if frames.ndim == 4 and words:
        chosen = [words[n] for n in np.linspace(0, len(words) - 1, min(SHOWN, len(words))).astype(int)]
        places = [min(len(frames) - 1, int((start + end) / 2 * rate)) for _, start, end in chosen]
        maps_THW = guided(system.model, frames, logits_TV)
        shown = frames[places].expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        saliency(
            shown,
            maps_THW[places],
            [word for word, _, _ in chosen],
            stem.with_name(stem.name + "_saliency.png"),
            title=title,
        )


def guided(model: LipReader, frames: Tensor, logits_TV: Tensor) -> Tensor:
    """How much each pixel (T, H, W) raises what the likeliest path says, by guided back-propagation.

    Springenberg et al. 2015, arXiv:1412.6806, section 3.4: only what speaks for it passes a ReLU on the way back.
    """
    own = copy.deepcopy(model).cpu()
    for part in own.modules():
        if isinstance(part, nn.ReLU):
            part.register_full_backward_hook(lambda _, grad_in, __: tuple(g.clamp(min=0) for g in grad_in))
    pixels_BTCHW = (frames.float() / 255)[None].requires_grad_()
    found_BTV, _ = own(pixels_BTCHW, torch.tensor([len(frames)]))
    token_T = logits_TV.argmax(-1)
    said_T = token_T.nonzero()[:, 0]
    found_BTV[0, said_T, token_T[said_T]].sum().backward()
    assert pixels_BTCHW.grad is not None
    return pixels_BTCHW.grad[0].clamp(min=0).amax(1)
