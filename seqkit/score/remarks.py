"""Remarks: what a reader of scores should know, such as a value that the form of the data decides.

A value may be 0 or 100 whatever a system wrote: BLEU where no text has four words, CIDEr of one item, the consensus
accuracy of a single answer. Nothing here changes a score.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from seqkit.data.box_text import read_box, read_numbers
from seqkit.data.text import invisible, normalize_whitespace
from seqkit.score.bleu import has_ngrams, order_of
from seqkit.score.boxes import ENOUGH, iou
from seqkit.score.caption import caption_words, document_frequencies
from seqkit.score.evaluate import Statistics, corpus_scores
from seqkit.score.language import by_character, options_for, tokenizer_for
from seqkit.score.language_names import SPACED
from seqkit.score.metric import AS_IT_IS, References, TextOptions, normalize

CHANGED = 0.05  # of the words of the references, by which a normalizer changes what rates are of
MARK = re.compile(r"▁|￭|@@(?=\s|$)|</?s>|<unk>|<pad>|&(?:amp|quot|apos|lt|gt|#\d+);")  # left by other programs
CUT = 100  # hypotheses that look tokenized, from which on sacrebleu warns too
PEOPLE = 4  # whose equal answers reach 100 by `vqa_accuracy`
Rule = Callable[[str, Statistics, References, Sequence[str], TextOptions], Iterator[str]]


def remarks(
    found: Mapping[str, Statistics], references: References, hypotheses: Sequence[str], options: TextOptions = AS_IT_IS
) -> list[str]:
    """Lists the remarks on the statistics of one system; `options` are those that they were computed with."""
    options = options_for(references, options)
    said = list(_form(references, hypotheses, options))
    for name, tallied in found.items():
        if ":" in name:  # one of the user's own
            continue
        for prefix, rule in RULES.items():
            if name.startswith(prefix):
                said += [f"{name}: {text}" for text in rule(name, tallied, references, hypotheses, options)]
    return said


def _form(references: References, hypotheses: Sequence[str], options: TextOptions) -> Iterator[str]:
    changed = [n for n, texts in enumerate(references, 1) if any(normalize_whitespace(t) != t for t in texts)]
    if changed:
        how = "are not in NFC with single spaces"
        done = "compared as they are" if options.raw else "compared in that form, in which models learn them"
        yield f"references of {len(changed):,} of {len(references):,} items (first: {changed[0]}) {how}; {done}"
    held = Counter(char for texts in references for text in texts for char in invisible(text))
    theirs = Counter(char for text in hypotheses for char in invisible(text))
    for side, own, other in (("references", held, theirs), ("hypotheses", theirs, held)):
        if lacking := ", ".join(f"U+{ord(char):04X}" for char in sorted(own.keys() - other.keys())):
            yield f"{side} alone hold the invisible {lacking}, which count as letters; remove them"
    marks = {mark for texts in references for text in texts for mark in MARK.findall(text)}
    left = {mark for text in hypotheses for mark in MARK.findall(text)}
    for side, here, there in (("references", marks, left), ("hypotheses", left, marks)):
        if lacking := ", ".join(sorted(here - there)):
            yield f"{side} alone hold {lacking}, signs of tokens or of HTML, which count as letters; undo them"
    if options.normalizers:
        texts = [text for several in references for text in several]
        words = sum(len(text.split()) for text in texts)
        kept = sum(len(normalize(text, options).split()) for text in texts)
        if abs(kept - words) > CHANGED * words:
            by = "+".join(options.normalizers)
            yield f"references have {kept:,} words after the normalizer {by}, {words:,} before it: rates are of those"
    if not any(text.strip() for texts in references for text in texts):
        yield "all references are empty: no value says anything"
    if len(hypotheses) == 1:
        yield "one item: the intervals have no width and say nothing"


def _bleu(
    name: str, tallied: Statistics, references: References, hypotheses: Sequence[str], options: TextOptions
) -> Iterator[str]:
    cut = sum(text.endswith(" .") for text in hypotheses)
    if cut >= CUT:
        yield f"{cut:,} hypotheses end in a period after a space: undo tokenization, BLEU has its own"
    order = order_of(name)
    counts = dict(zip(tallied.metric.counts, tallied.statistics_NK.sum(0), strict=True))
    lacking = {"hypothesis": not counts[f"ngrams_{order}"], "reference": not has_ngrams(name, tallied.statistics_NK)}
    sides = [side for side, none in lacking.items() if none]
    if sides:
        yield f"no {' and no '.join(sides)} has {order} tokens, so the value is decided by that; take bleu1 or chrf"


def _cider(
    name: str, tallied: Statistics, references: References, hypotheses: Sequence[str], options: TextOptions
) -> Iterator[str]:
    if corpus_scores({name: tallied})[name] > 0:
        return
    characters = by_character(options)
    frequencies = document_frequencies([[caption_words(text, characters) for text in texts] for texts in references])
    if all(count == frequencies.items for count in frequencies.counts.values()):
        yield "every n-gram is in the references of every item and so has weight 0: the value is 0 by form"


def _consensus(
    name: str, tallied: Statistics, references: References, hypotheses: Sequence[str], options: TextOptions
) -> Iterator[str]:
    best_N = [min(1.0, (len(texts) - 1) / (PEOPLE - 1)) for texts in references]
    if max(best_N) < 1:
        few = max(map(len, references))
        most = 100 * float(np.mean(best_N))
        yield f"at most {few} answer{'s' * (few > 1)} a question, so the value cannot pass {most:.2f}; take accuracy"


def _words(
    name: str, tallied: Statistics, references: References, hypotheses: Sequence[str], options: TextOptions
) -> Iterator[str]:
    if tokenizer_for([text for texts in references for text in texts]) != SPACED:
        yield "the references have no spaces between words, so a whole text may count as one word; take cer"


def _boxes(
    name: str, tallied: Statistics, references: References, hypotheses: Sequence[str], options: TextOptions
) -> Iterator[str]:
    boxes = [read_box(text) for text in hypotheses]
    wrong = [n for n, box in enumerate(boxes) if box is None]
    if wrong:
        example = f"{hypotheses[wrong[0]]!r} as item {wrong[0] + 1}"
        yield f"{len(wrong):,} of {len(boxes):,} hypotheses are no boxes left, top, right, bottom, such as {example}"
    wanted = [np.array([box for text in texts if (box := read_box(text))]) for texts in references]
    valid = [box for box in boxes if box]
    if valid and max(map(max, valid)) <= 1 < max(float(found.max()) for found in wanted):
        yield "all hypotheses lie within 0 and 1, references do not; multiply them by width and height of the image"
    sized = [
        (left, top, left + width, top + height)
        for left, top, width, height in (read_numbers(text) or (0.0, 0.0, 0.0, 0.0) for text in hypotheses)
    ]
    right = np.mean([iou(np.array([box]), own).max() >= ENOUGH for box, own in zip(sized, wanted, strict=True)])
    if 100 * right > corpus_scores({name: tallied})[name]:
        yield f"read as left, top, width, height the hypotheses would score {100 * right:.2f}; check their form"


RULES: dict[str, Rule] = {
    "bleu": _bleu,
    "cider": _cider,
    "vqa_accuracy": _consensus,
    "wer": _words,
    "ter": _words,
    "iou_0.5": _boxes,
}
