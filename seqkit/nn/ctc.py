"""The CTC loss: -log of the sum over all alignments of a target with its frames.

Graves et al. 2006, "Connectionist temporal classification", section 4. The blank is index 0, PAD of every vocabulary:
PAD is never emitted, so that its index is free, and all tokens keep their ids.

B batch, T frames, L target tokens, V vocabulary.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seqkit.nn.masks import mask_from_lengths

BLANK = 0
NEVER = -1e9  # log-probability of suppressed tokens; -inf would make gradients NaN


def frames_needed(targets_BL: Tensor, target_lengths_B: Tensor) -> Tensor:
    """The least number of frames (B,) of each target: one a token, and one for the blank between equal neighbors."""
    equal_BL = (targets_BL[:, 1:] == targets_BL[:, :-1]) & _real(target_lengths_B - 1, max(0, targets_BL.shape[1] - 1))
    return target_lengths_B + equal_BL.sum(1)


def ctc_loss(
    logits_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor, silent_BT: Tensor | None = None
) -> Tensor:
    """-log p(target) of each item (B,), in nats, in float32 under autocast too; an empty target is all blanks.

    silent_BT: frames that must be the blank; only alignments with blanks there are summed.

    Raises ValueError, with the item's place in the batch, for a target that needs more frames than there are, for one
    that holds the blank, and for lengths beyond the tensors. The check waits for the device, as the loss itself does.
    """
    _check(logits_BTV, lengths_B, targets_BL, target_lengths_B)
    if not logits_BTV.numel():  # which the kernel refuses
        return logits_BTV.sum((1, 2))
    with torch.autocast(logits_BTV.device.type, enabled=False):
        logits_BTV = logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32))
        logprob_BTV = logits_BTV.log_softmax(-1)
        if silent_BT is None:
            return _summed(logprob_BTV, lengths_B, targets_BL, target_lengths_B)
        silent_BT = silent_BT & _real(lengths_B, silent_BT.shape[1])
        # The kernel's gradient holds for normalized frames only: it gets certain blanks, and theirs are added after.
        silence_B = logprob_BTV[..., BLANK].masked_fill(~silent_BT, 0).sum(1)
        certain_V = logprob_BTV.new_full((logprob_BTV.shape[2],), NEVER)
        certain_V[BLANK] = 0
        logprob_BTV = torch.where(silent_BT[..., None], certain_V, logprob_BTV)
        loss_B = _summed(logprob_BTV, lengths_B, targets_BL, target_lengths_B)
        if (loss_B > -NEVER / 2).any():  # too few frames, or logits that diverged: uniform ones tell
            uniform_BTV = torch.where(silent_BT[..., None], certain_V, torch.zeros_like(logprob_BTV).log_softmax(-1))
            impossible_B = _summed(uniform_BTV, lengths_B, targets_BL, target_lengths_B) > -NEVER / 2
            if impossible_B.any():
                item = int(impossible_B.nonzero()[0])
                raise ValueError(f"`silent_BT` must leave frames for the targets, got too few for item {item}")
        return loss_B - silence_B


def _summed(logprob_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor) -> Tensor:
    targets_BL = F.pad(targets_BL, (0, 1))  # the kernel wants a column even where all targets are empty
    return F.ctc_loss(
        logprob_BTV.transpose(0, 1), targets_BL, lengths_B, target_lengths_B, blank=BLANK, reduction="none"
    )


def _check(logits_BTV: Tensor, lengths_B: Tensor, targets_BL: Tensor, target_lengths_B: Tensor) -> None:
    frames, width, vocab = logits_BTV.shape[1], targets_BL.shape[1], logits_BTV.shape[2]
    needed_B = frames_needed(targets_BL, target_lengths_B)
    wrong_BL = _real(target_lengths_B, width) & ((targets_BL <= BLANK) | (targets_BL >= vocab))
    numbers = torch.stack([lengths_B, target_lengths_B, needed_B, wrong_BL.any(1).long()], 1).tolist()
    for item, (length, target_length, needed, wrong) in enumerate(numbers):
        if not 0 <= length <= frames:
            raise ValueError(f"`lengths_B` must be from 0 to {frames} frames, got {length} for item {item}")
        if not 0 <= target_length <= width:
            raise ValueError(f"`target_lengths_B` must be from 0 to {width}, got {target_length} for item {item}")
        if needed > length:
            raise ValueError(
                f"`targets_BL` must fit into their frames, got item {item} of {target_length} tokens, "
                f"which need {needed} frames and have {length}"
            )
        if wrong:
            raise ValueError(f"`targets_BL` must be tokens from {BLANK + 1} to {vocab - 1}, got others in item {item}")


def _real(lengths_B: Tensor, width: int) -> Tensor:
    return mask_from_lengths(lengths_B.clamp(0, width), width)
