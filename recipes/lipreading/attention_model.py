"""The audio-visual model of watch, listen, attend and spell (WLAS): two encoders and one decoder that attends to both.

Chung et al. 2017, arXiv:1611.05358, section 2. A stream that an item lacks is a memory without positions, whose context
is zero.

B batch, S positions of a memory, D width of a memory, V vocabulary, T target tokens, F decoder features.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from seqkit.data.batch import Batch, Example, PaddedSequence, collate
from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item
from seqkit.data.vocab import UNK, Vocab
from seqkit.decode import CtcPrefixScorer, Ensemble, Hypothesis, Search, beam, map_alike, score_targets, token_logprobs
from seqkit.decode.search import Scorers
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.nn.attention import AttentionKind
from seqkit.nn.decoder import Wiring, build_decoder
from seqkit.nn.encoders import Encoded
from seqkit.nn.initialize import xavier
from seqkit.nn.memory import Memory
from seqkit.nn.recurrent import CellKind
from seqkit.ranges import Range
from seqkit.recipes.common.input_remarks import remark
from seqkit.recipes.common.scorers import word_separator
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.recipes.lipreading.data import AudioCondition, StreamReader, count_frames, has_stream, make_noise
from seqkit.recipes.lipreading.encoders import AudioEncoderConfig, StreamEncoder, VideoEncoderConfig, make_encoders
from seqkit.recipes.lipreading.input_config import STREAMS, InputStatistics, Modality
from seqkit.recipes.lipreading.long_recording import later, read_parts, spoken_stretches
from seqkit.recipes.lipreading.plots import Panel, plot_attention, stream_image
from seqkit.recipes.lipreading.raw_video import (
    FACELESS,
    LONGEST,
    SOUNDLESS,
    file_offset,
    holds_video,
    raw_item,
    shifted,
)
from seqkit.recipes.lipreading.recording import Recording, is_long_input, open_recording
from seqkit.recipes.lipreading.subtitles import write_subtitled_video
from seqkit.recipes.lipreading.word_times import min_frames, words_by_attention, words_by_ctc
from seqkit.score.prediction import Prediction, distinct
from seqkit.score.words import with_times, words_of

T = TypeVar("T")

LONGER = 10  # an output has at most so many tokens more than its longest memory has positions


@described
@dataclass(frozen=True)
class Network:
    """The decoder, and which encoders there are."""

    modality: Modality = "both"
    """video (WAS), audio (LAS), or both (WLAS)"""
    embed_dim: Annotated[int, Range(min=1)] = 64
    """width of a character's embedding"""
    decoder_cell: CellKind = "lstm"
    """recurrent cell (Chung et al.: lstm)"""
    decoder_dim: Annotated[int, Range(min=1)] = 256
    """hidden width (Chung et al.: 512)"""
    decoder_layers: Annotated[int, Range(min=1)] = 1
    """recurrent layers (Chung et al.: 3)"""
    attention: AttentionKind = "additive"
    """score of an encoder step, one attention a stream (Chung et al.: additive)"""
    attention_dim: Annotated[int, Range(min=1)] = 128
    """attention width"""
    wiring: Wiring = "luong_input_feeding"
    """attention after the cell with the contexts fed to the next step (Chung et al.), after it without that (luong), or
    before the cell (bahdanau)"""
    readout_dim: Annotated[int, Range(min=1)] = 256
    """width below the softmax"""
    dropout: Annotated[float, Range(min=0, below=1)] = 0.3
    """dropout rate on embeddings and below the softmax"""
    ctc_head: bool = False
    """a CTC output on each encoder, for a joint loss and joint decoding (Watanabe et al. 2017)"""


@described
@dataclass(frozen=True)
class SearchConfig:
    """Beam search, and what is added to its scores."""

    decoding: SearchOptions = SearchOptions(beam=4)
    ctc_weight: Annotated[float, Range(min=0)] = 0.0
    """weight of the CTC log-probability of each text; needs `ctc_head` (Watanabe et al. 2017: 0.3)"""


class Outputs(NamedTuple):
    """What a training batch gives."""

    features_BTF: Tensor  # of the decoder, for its readout
    ctc: list[tuple[Tensor, Tensor]]  # logits (B, S, V) and lengths (B,) of each CTC head


class AudioVisualModel(nn.Module):
    """Encodes streams to the memories that `decoder` attends to."""

    def __init__(
        self,
        n: Network,
        video: VideoEncoderConfig,
        audio: AudioEncoderConfig,
        frame_size: tuple[int, int],
        statistics: Mapping[str, InputStatistics],
        vocab_size: int,
    ) -> None:
        super().__init__()
        made = make_encoders(video, audio, frame_size, statistics)
        self.video_encoder, self.audio_encoder = made.get("video"), made.get("audio")
        widths = [encoder.output_dim for encoder in made.values()]
        self.decoder = build_decoder(
            vocab_size,
            n.embed_dim,
            n.decoder_dim,
            widths,
            cell=n.decoder_cell,
            layers=n.decoder_layers,
            attention=n.attention,
            attention_dim=n.attention_dim,
            wiring=n.wiring,
            init_hidden="last",
            readout_dim=n.readout_dim,
            dropout=n.dropout,
        )
        xavier(self.decoder)
        heads = [nn.Linear(width, vocab_size) for width in widths] if n.ctc_head else []
        self.ctc_heads = nn.ModuleDict(dict(zip(made, heads, strict=False)))

    @property
    def encoders(self) -> list[StreamEncoder]:
        """In the order of the streams."""
        return [encoder for encoder in (self.video_encoder, self.audio_encoder) if encoder is not None]

    def encode(self, streams: Sequence[PaddedSequence]) -> list[Encoded]:
        """Each stream by its encoder."""
        return [encoder(*stream) for encoder, stream in zip(self.encoders, streams, strict=True)]

    def make_memory(self, encoded: Sequence[Encoded]) -> tuple[Memory, ...]:
        """The decoder's memories; its initial state is made from the encoders' last states."""
        return self.decoder.make_memory(*((e.values_BSD, e.lengths_B, e.h_BLD[:, -1]) for e in encoded))

    def ctc_logits(self, encoded: Sequence[Encoded]) -> list[tuple[Tensor, Tensor]]:
        """Logits (B, S, V) of the CTC heads, and lengths; an empty list without `ctc_head`."""
        heads = self.ctc_heads.values()
        return [(head(e.values_BSD), e.lengths_B) for head, e in zip(heads, encoded, strict=False)]

    def forward(self, batch: Batch, scheduled_sampling: float = 0.0) -> Outputs:
        """Teacher forcing, with a share of inputs that are the model's own predictions."""
        encoded = self.encode(batch.streams)
        memories = self.make_memory(encoded)
        features_BTF, _ = self.decoder.forward_features(batch.inputs_BT, memories, sampling=scheduled_sampling)
        return Outputs(features_BTF, self.ctc_logits(encoded))


@dataclass(frozen=True)
class SpeechPredictor:
    """Transcribes video, audio, or both, by one model or by several whose probabilities are averaged."""

    models: tuple[AudioVisualModel, ...]
    readers: tuple[StreamReader, ...]  # one a model
    vocab: Vocab
    modality: Modality
    search: SearchConfig
    scorers: Scorers = ()

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return self.models[0].decoder.embedding.weight.device

    def with_noise(self, items: Sequence[Item]) -> "SpeechPredictor":
        """The same with the noise of the readers' configs, where it is babble made of `items`."""
        readers = tuple(reader._replace(noise=make_noise(reader.audio, items)) for reader in self.readers)
        return dataclasses.replace(self, readers=readers)

    def parse(self, words: Sequence[str]) -> list[Path]:
        """Words of the command line to files."""
        return [Path(word) for word in words]

    def predict(self, inputs: Sequence[str | Path], nbest: int = 1) -> list[list[Prediction]]:
        """The `nbest` transcriptions of video or audio files, best first, with word times; one of a recording of more
        than a minute, which is read between its pauses.
        """
        paths = [Path(given) for given in inputs]
        long = {number: self.predict_long(path, nbest) for number, path in enumerate(paths) if self.is_long(path)}
        rest = [path for number, path in enumerate(paths) if number not in long]
        found = self.with_items(rest, lambda items: self.predict_with_times(items, nbest)) if rest else []
        short = iter([[shifted(one, file_offset(path)) for one in own] for path, own in zip(rest, found, strict=True)])
        return [[long[number]] if number in long else next(short) for number in range(len(paths))]

    def is_long(self, path: Path) -> bool:
        """Whether a file is read between its pauses; features in the place of sound are read at once."""
        return is_long_input(path, self.rate) and (path.suffix != ".npy" or self.modality != "audio")

    @property
    def rate(self) -> float:
        """Frames, or rows of features, a second."""
        statistics = self.readers[0].statistics.get("video")
        return (statistics.rate if statistics else None) or FRAME_RATE

    def predict_long(self, path: Path, nbest: int) -> Prediction:
        """A long recording's transcription: of one stretch between pauses after another."""
        if nbest > 1:
            raise InputError(f"`nbest` must be 1 for recordings of more than {LONGEST:g} seconds, got {nbest}: {path}")
        with tempfile.TemporaryDirectory() as folder:
            looked = self.modality == "video" or self.modality == "both" and holds_video(path)
            recording = open_recording(path, Path(folder), self.rate, video=looked)
            parts = self.read_stretches(recording)
            found = read_parts(recording, parts, path.name, word_separator(self.vocab))
        if not recording.faced and (self.modality == "video" or not recording.heard):
            raise InputError(f"{path}: must show a face from the front, got none in {found.seconds:.0f} seconds")
        if not recording.faced:
            remark(path, FACELESS)
        elif looked and self.modality == "both" and not recording.heard:
            remark(path.name, SOUNDLESS)
        return shifted(found, file_offset(path))

    def read_stretches(self, recording: Recording) -> Iterator[Prediction | None]:
        """Yields what is said in one stretch after another, and None where a block has no end of one."""
        for stretch in spoken_stretches(recording, self.readers[0]):
            if stretch is None:
                yield None
                continue
            item = recording.item(stretch.first, stretch.end)
            if any(has_stream(item, name) for name in STREAMS[self.modality]):
                [[best]] = self.predict_items([item])
                yield later(self.timed(item, best), stretch.first / recording.rate)

    def predict_with_times(self, items: Sequence[Item], nbest: int) -> list[list[Prediction]]:
        """The same for items."""
        for item in items:
            if self.modality == "both" and not item.audio:
                remark(item.id, SOUNDLESS)
        found = self.predict_items(items, nbest=nbest)
        return [[self.timed(item, one) for one in own] for item, own in zip(items, found, strict=True)]

    def timed(self, item: Item, found: Prediction) -> Prediction:
        """A prediction with word times: of the sound where there is any, else of the lips; by the likeliest path of the
        CTC head, where the run has one and the text fits into its frames, else by attention.
        """
        panels = self.panels(item, found)
        panel = next((own for own in panels if own.name == "audio"), panels[0])
        logits_TV, tokens = panel.ctc_logits_TV, found.tokens
        if logits_TV is not None and min_frames(tokens) <= len(logits_TV):
            timed = words_by_ctc(logits_TV, tokens, self.vocab, panel.seconds)
        else:
            timed = words_by_attention(panel.weights_TS, panel.seconds, self.characters(tokens))
        return found._replace(words=with_times(found.words, timed), seconds=panel.seconds)

    def plot(self, given: str | Path, found: Sequence[Prediction], path: Path) -> None:
        """Both attentions over time; of a video also an .mp4 beside it, a copy with the words as they are said."""
        best = found[0]
        if not best.tokens:
            return
        if self.is_long(Path(given)):
            remark(given, f"longer than {LONGEST:g} seconds, and is not drawn")
            return
        panels = self.with_items([given], lambda items: self.panels(items[0], best))
        plot_attention(panels, self.characters(best.tokens), path, best.text)
        if holds_video(Path(given)):
            write_subtitled_video(Path(given), best.words, path.with_suffix(".mp4"))

    def with_items(self, inputs: Sequence[str | Path], use: Callable[[list[Item]], T]) -> T:
        """What `use` makes of the files as items, whose clips are kept for so long. InputError for a file that lacks
        what the model needs."""
        with tempfile.TemporaryDirectory() as folder:
            items = [self.item(Path(given), Path(folder)) for given in inputs]
            for item in items:
                if not any(has_stream(item, name) for name in STREAMS[self.modality]):
                    needed = " or ".join(STREAMS[self.modality])
                    raise InputError(f"{item.id}: must have {needed}, which the run was trained on, got a file without")
            return use(items)

    def item(self, path: Path, folder: Path) -> Item:
        """A file as an item; sound alone where that is all the run reads, or all that can be read."""
        return raw_item(path, folder, video=self.modality != "audio", faceless=self.modality == "both")

    def predict_items(
        self,
        items: Sequence[Item],
        modality: Modality | None = None,
        *,
        snr: float | None = None,
        nbest: int = 1,
        greedy: bool = False,
    ) -> list[list[Prediction]]:
        """The `nbest` transcriptions of items under one condition, without times; items of like length are decoded
        together. `greedy`: with a beam of 1, and without words.
        """

        def decode(batch: Sequence[Item]) -> list[list[Prediction]]:
            together = [self.read(batch, reader, modality, snr) for reader in self.readers]
            return self.transcribe(together, nbest, greedy=greedy)

        return map_alike(decode, items, [count_frames(item) for item in items], self.search.decoding.decode_batch_size)

    def read(
        self, items: Sequence[Item], reader: StreamReader, modality: Modality | None = None, snr: float | None = None
    ) -> Batch:
        """Items as a model's batch on its device."""
        condition, modality = AudioCondition(snr), modality or self.modality
        streams = [reader.streams(item, modality, condition=condition) for item in items]
        return collate([Example(n, own, ()) for n, own in enumerate(streams)]).to(self.device)

    @torch.no_grad()
    def transcribe(self, batches: Sequence[Batch], nbest: int = 1, *, greedy: bool = False) -> list[list[Prediction]]:
        """Decodes the same items as each model reads them."""
        encoded = [model.encode(batch.streams) for model, batch in zip(self.models, batches, strict=True)]
        longest_B = torch.stack([e.lengths_B for own in encoded for e in own]).amax(0) + LONGER
        search = self.search.decoding.search(longest_B, nbest, suppress_tokens=(*Search.suppress_tokens, UNK))
        search = dataclasses.replace(search, beam=1) if greedy else search
        scorers = list(self.scorers)
        if self.search.ctc_weight:
            weight = self.search.ctc_weight / len(self.models)
            for model, own in zip(self.models, encoded, strict=True):
                scorers += [(CtcPrefixScorer(*frames), weight) for frames in model.ctc_logits(own)]
        memories = tuple(model.make_memory(own) for model, own in zip(self.models, encoded, strict=True))
        decoder = Ensemble([model.decoder for model in self.models])
        found = beam(decoder, memories, search, scorers=tuple(scorers))
        limit_B = torch.as_tensor(search.max_len).expand(len(found)).tolist()
        logprobs = [[[]] * len(some) for some in found] if greedy else token_logprobs(decoder, memories, found)
        return [
            distinct((self.prediction(h, p, limit) for h, p in zip(some, known, strict=True)), nbest)
            for some, known, limit in zip(found, logprobs, limit_B, strict=True)
        ]

    def prediction(self, found: Hypothesis, logprobs: Sequence[float], limit: int) -> Prediction:
        """A hypothesis as text, with words where their tokens' log-probabilities are given."""
        words = words_of(self.characters(found.tokens), self.vocab.join, logprobs) if logprobs else ()
        text, cut = self.vocab.decode(found.tokens), len(found.tokens) >= limit
        return Prediction(text, found.logprob, found.score, words, tokens=tuple(found.tokens), cut=cut)

    def characters(self, tokens: Sequence[int]) -> list[str]:
        """Token ids as characters."""
        return [self.vocab.token(token) for token in tokens]

    @torch.no_grad()
    def panels(self, item: Item, found: Prediction) -> list[Panel]:
        """Each stream that the item has, with the first model's attention over it while it says the prediction."""
        model, reader = self.models[0], self.readers[0]
        streams = reader.streams(item, self.modality)
        batch = collate([Example(0, streams, found.tokens)]).to(self.device)
        encoded = model.encode(batch.streams)
        memories = model.make_memory(encoded)
        forced = score_targets(model.decoder, memories, batch.inputs_BT, batch.targets_BT, batch.lengths_B)
        heads: list[Tensor | None] = [logits_BTV[0].cpu() for logits_BTV, _ in model.ctc_logits(encoded)]
        rows = zip(reader.statistics, streams, forced.weights, heads or [None] * len(streams), strict=True)
        return [
            Panel(
                name,
                stream_image(stream),
                weights_BTS[0, : len(found.tokens)].cpu().numpy(),
                reader.seconds(name, stream),
                logits_TV,
            )
            for name, stream, weights_BTS, logits_TV in rows
            if len(stream)
        ]
