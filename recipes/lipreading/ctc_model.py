"""The CTC model: a video encoder, a token or the blank for every frame, and the search that makes text of them.

B batch, T frames, V vocabulary.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import torch
from torch import Tensor, nn

from seqkit.data.batch import Example, collate
from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item
from seqkit.data.vocab import BOS, UNK, Vocab
from seqkit.decode import Hypothesis, Search, ctc_token_logprobs, greedy_ctc, map_alike, prefix_beam
from seqkit.decode.ctc import SPECIAL_TOKENS
from seqkit.decode.search import Scorers
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.dropout import Dropout
from seqkit.ranges import Range
from seqkit.recipes.common.input_remarks import remark
from seqkit.recipes.common.scorers import ScorerOptions, word_separator
from seqkit.recipes.lipreading.data import StreamReader, count_frames
from seqkit.recipes.lipreading.encoders import StreamEncoder
from seqkit.recipes.lipreading.long_recording import later, read_parts, spoken_stretches, with_margins
from seqkit.recipes.lipreading.plots import plot_posteriors, plot_saliency
from seqkit.recipes.lipreading.raw_video import LONGEST, file_offset, raw_item, shift_words, shifted
from seqkit.recipes.lipreading.recording import Recording, is_long_input, open_recording
from seqkit.recipes.lipreading.word_times import words_by_ctc
from seqkit.score.prediction import Prediction, Word, distinct
from seqkit.score.words import with_times, words_of
from seqkit.train.distributed import print0

T = TypeVar("T")
OWN_LM = "lm.ngram"  # the run's own language model in its checkpoint's folder


@described
@dataclass(frozen=True)
class SearchConfig:
    """Prefix beam search, when evaluating and predicting; validation during training is greedy."""

    beam: Annotated[int, Range(min=1)] = 100
    """beam size; 1: the likeliest path, without language model, hot words or grammar (LipNet: 200)"""
    decode_batch_size: Annotated[int, Range(min=1)] = 32
    """items decoded together"""
    scorers: ScorerOptions = ScorerOptions(lm="own", lm_weight=0.5)


class CtcModel(nn.Module):
    """Frames to logits over the vocabulary; token 0 is the blank."""

    def __init__(self, video_encoder: StreamEncoder, vocab_size: int) -> None:
        super().__init__()
        self.video_encoder, self.output = video_encoder, nn.Linear(video_encoder.output_dim, vocab_size)
        self.dropout = Dropout(video_encoder.dropout.p)

    def forward(self, values: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) and lengths of padded frames or features."""
        encoded = self.video_encoder(values, lengths_B)
        return self.output(self.dropout(encoded.values_BSD)), encoded.lengths_B


@dataclass(frozen=True)
class CtcPredictor:
    """Reads lips by one model, or by several whose log-probabilities are averaged frame by frame."""

    models: tuple[CtcModel, ...]
    readers: tuple[StreamReader, ...]  # one a model
    vocab: Vocab
    search: SearchConfig
    scorers: Scorers = ()

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.models[0].output.weight.device

    def parse(self, words: Sequence[str]) -> list[Path]:
        """Words of the command line to files."""
        return [Path(word) for word in words]

    def predict(self, inputs: Sequence[str | Path], nbest: int = 1) -> list[list[Prediction]]:
        """The `nbest` transcriptions of video files, best first, with the times of their words; one of a recording of
        more than a minute, which is read in windows.
        """
        paths = [Path(given) for given in inputs]
        long = {number: self.predict_long(path, nbest) for number, path in enumerate(paths) if self.is_long(path)}
        rest = [path for number, path in enumerate(paths) if number not in long]
        frames, logits = self.frames_and_logits(rest)
        found = iter(zip(rest, frames, logits, self.decode(logits, nbest), strict=True))

        def short(path: Path, clip: tuple[Tensor, ...], own: Tensor, some: Sequence[Prediction]) -> list[Prediction]:
            offset, seconds = file_offset(path), self.seconds(clip[0])
            return [shifted(self.timed(own, one, seconds), offset) for one in some]

        return [[long[number]] if number in long else short(*next(found)) for number in range(len(paths))]

    def is_long(self, path: Path) -> bool:
        """Whether a file is read in windows."""
        return is_long_input(path, self.rate)

    @property
    def rate(self) -> float:
        """Frames, or rows of features, a second."""
        return self.readers[0].statistics["video"].rate or FRAME_RATE

    def predict_long(self, path: Path, nbest: int) -> Prediction:
        """A long recording's transcription: of one stretch between pauses after another."""
        if nbest > 1:
            raise InputError(f"`nbest` must be 1 for recordings of more than {LONGEST:g} seconds, got {nbest}: {path}")
        with tempfile.TemporaryDirectory() as folder:
            recording = open_recording(path, Path(folder), self.rate)
            parts = self.read_stretches(recording)
            found = read_parts(recording, parts, path.name, word_separator(self.vocab))
        if not recording.faced:
            raise InputError(f"{path}: must show a face from the front, got none in {found.seconds:.0f} seconds")
        return shifted(found, file_offset(path))

    def read_stretches(self, recording: Recording) -> Iterator[Prediction | None]:
        """Yields what is said in one stretch after another, and None where a block has no end of one."""
        for stretch in spoken_stretches(recording, self.readers[0]):
            if stretch is None:
                yield None
                continue
            first, end = with_margins(recording, stretch)
            item = recording.item(first, end)
            if item.video or item.features:
                logits_TV = self.item_logits([item])[0]
                share = len(logits_TV) / (end - first)
                own_TV = logits_TV[round(share * (stretch.first - first)) : round(share * (stretch.end - first))]
                [[best]] = self.decode([own_TV])
                seconds = (stretch.end - stretch.first) / recording.rate
                yield later(self.timed(own_TV, best, seconds), stretch.first / recording.rate)

    def plot(self, given: str | Path, found: Sequence[Prediction], path: Path) -> None:
        """Posteriors over time, and where frames are pixels a saliency map for every word in *_saliency.png."""
        if self.is_long(Path(given)):
            remark(given, f"longer than {LONGEST:g} seconds, and is not drawn")
            return
        read, logits = self.frames_and_logits([given])
        frames, logits_TV = read[0][0], logits[0]
        tokens = ["blank" if i == 0 else self.vocab.token(i) for i in range(len(self.vocab))]
        words, seconds = shift_words(found[0].words, -file_offset(Path(given))), self.seconds(frames)
        plot_posteriors(logits_TV, tokens, words, path, seconds=seconds)
        if frames.ndim == 4 and words:
            place = path.with_name(f"{path.stem}_saliency.png")
            plot_saliency(self.models[0], frames, logits_TV, words, place, rate=len(frames) / seconds)

    def frames_and_logits(self, inputs: Sequence[str | Path]) -> tuple[list[tuple[Tensor, ...]], list[Tensor]]:
        """What each model reads of video files, and their logits."""
        with tempfile.TemporaryDirectory() as folder:
            items = [raw_item(Path(given), Path(folder)) for given in inputs]
            frames = [self.read(item) for item in items]
        return frames, self.logits([len(own[0]) for own in frames], lambda number: frames[number])

    def read(self, item: Item) -> tuple[Tensor, ...]:
        """An item as each model reads it."""
        return tuple(reader.read_video_stream(item) for reader in self.readers)

    def seconds(self, frames: Tensor) -> float:
        """Duration of frames or features."""
        return self.readers[0].seconds("video", frames)

    def predict_items(self, items: Sequence[Item]) -> list[Prediction]:
        """The best transcription of every item, without words."""

        def decode(batch: Sequence[Item]) -> list[Prediction]:
            return [best for best, *_ in self.decode(self.item_logits(batch), words=False)]

        return self.map_items(decode, items)

    def map_items(self, fn: Callable[[Sequence[Item]], Sequence[T]], items: Sequence[Item]) -> list[T]:
        """`fn` of items of like size together; results in their order."""
        return map_alike(fn, items, [count_frames(item) for item in items], self.search.decode_batch_size)

    def item_logits(self, items: Sequence[Item]) -> list[Tensor]:
        """Logits (T, V) of every item, on the CPU."""
        return self.logits([count_frames(item) for item in items], lambda number: self.read(items[number]))

    @torch.no_grad()
    def logits(self, sizes: Sequence[int], read: Callable[[int], tuple[Tensor, ...]]) -> list[Tensor]:
        """Logits (T, V), on the CPU; of several models the mean log-probability.

        `read`: an item's number to what each model reads. Items of like size are read and computed together.
        """
        order = sorted(range(len(sizes)), key=lambda number: sizes[number])
        found: dict[int, Tensor] = {}
        for first in range(0, len(order), self.search.decode_batch_size):
            numbers = order[first : first + self.search.decode_batch_size]
            members = []
            for model, own in zip(self.models, zip(*map(read, numbers), strict=True), strict=True):
                examples = [Example(n, (frames,), ()) for n, frames in zip(numbers, own, strict=True)]
                logits_BTV, lengths_B = model(*collate(examples).to(self.device).streams[0])
                rows = zip(logits_BTV.cpu(), lengths_B.tolist(), strict=True)
                members.append([logits_TV[:length].clone() for logits_TV, length in rows])
            found |= zip(numbers, map(mean_log_probability, zip(*members, strict=True)), strict=True)
        return [found[number] for number in range(len(sizes))]

    def decode(self, logits: Sequence[Tensor], nbest: int = 1, *, words: bool = True) -> list[list[Prediction]]:
        """The `nbest` texts of every item, best first; the likeliest path's where the beam is 1.

        `words`: with each word's probability, summed over all paths that begin with the text so far.
        """
        found: list[list[Prediction]] = []
        for first in range(0, len(logits), self.search.decode_batch_size):
            own = logits[first : first + self.search.decode_batch_size]
            lengths_B = torch.tensor([len(logits_TV) for logits_TV in own], device=self.device)
            padded_BTV = nn.utils.rnn.pad_sequence(list(own), batch_first=True).to(self.device)
            texts = self.search_texts(padded_BTV, lengths_B, nbest)
            item_N = torch.tensor([item for item, some in enumerate(texts) for _ in some], device=self.device)
            flat = [hypothesis for some in texts for hypothesis in some]
            known = [list[float]() for _ in flat]
            if words:
                known = ctc_token_logprobs(padded_BTV[item_N], lengths_B[item_N], [h.tokens for h in flat])
            made = iter([self.prediction(h, logprobs) for h, logprobs in zip(flat, known, strict=True)])
            found += [distinct([next(made) for _ in some], nbest) for some in texts]
        return found

    def search_texts(self, logits_BTV: Tensor, lengths_B: Tensor, nbest: int) -> list[list[Hypothesis]]:
        """The `nbest` hypotheses of every item of a batch."""
        if self.search.beam == 1 and nbest == 1:
            paths = greedy_ctc(logits_BTV, lengths_B, suppress_tokens=(*SPECIAL_TOKENS, UNK))
            return [[path.hypothesis] for path in paths]
        beam = max(self.search.beam, nbest)
        search = Search(beam=beam, nbest=1 if nbest == 1 else beam, suppress_tokens=(BOS, UNK))
        return prefix_beam(logits_BTV, lengths_B, search, scorers=self.scorers)

    def prediction(self, found: Hypothesis, logprobs: Sequence[float]) -> Prediction:
        """A hypothesis as text, with words where their tokens' log-probabilities are given."""
        tokens = [self.vocab.token(token) for token in found.tokens]
        words = words_of(tokens, self.vocab.join, logprobs) if logprobs else ()
        return Prediction(
            self.vocab.decode(found.tokens), found.logprob, found.score, words, tokens=tuple(found.tokens)
        )

    def timed(self, logits_TV: Tensor, found: Prediction, seconds: float) -> Prediction:
        """A prediction of so many seconds with the times of its words."""
        return found._replace(words=self.word_times(logits_TV, found, seconds), seconds=seconds)

    def word_times(self, logits_TV: Tensor, found: Prediction, seconds: float) -> tuple[Word, ...]:
        """The words of a prediction with the times at which they are said, by the likeliest path."""
        return with_times(found.words, words_by_ctc(logits_TV, found.tokens, self.vocab, seconds))


def mean_log_probability(logits: Sequence[Tensor]) -> Tensor:
    """The mean of the models' log-probabilities (T, V), one model's logits as they are. Raises InputError for models
    that have different numbers of frames."""
    if len(logits) == 1:
        return logits[0]
    lengths = sorted({len(logits_TV) for logits_TV in logits})
    if len(lengths) > 1:
        raise InputError(f"an ensemble must have as many frames in every model, got {lengths}")
    return torch.stack([logits_TV.log_softmax(-1) for logits_TV in logits]).mean(0)


def warn_unknown(vocab: Vocab, items: Sequence[Item]) -> None:
    """Prints which symbols of the references no output can have."""
    texts = (text for item in items for text in item.references)
    unknown = sorted({symbol for text in texts for symbol in vocab.tokens(text) if UNK in vocab.encode(symbol)})
    if unknown:
        print0(f"symbols that training did not have, so that they cannot be read: {' '.join(map(repr, unknown[:20]))}")
