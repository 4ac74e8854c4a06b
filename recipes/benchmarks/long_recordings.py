"""Long recordings: clips joined to one file are read as a whole and piece by piece.

    python recipes/benchmarks/long_recordings.py RUN INPUT…    a run of lipnet or wlas, and videos or manifests

Prints seconds of video, seconds of processors and of the clock for each, the peak of memory, how long after a word it
is known (seconds of the recording that were read meanwhile), and the word error rate of the whole against the pieces.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import seqkit
from seqkit.data.audio import read_audio
from seqkit.data.clock import FRAME_RATE
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.sound_track import SAMPLE_RATE, SAMPLES_PER_FRAME, read_sound, write_wav
from seqkit.data.video_file import read_clip, read_frames, write_clip
from seqkit.flags import Parser, parse, run_cli
from seqkit.score import score
from seqkit.score.prediction import Prediction


def join(clips: Sequence[Path], path: Path) -> float:
    """Write one video of all clips, with their sound, as H.264 and AAC; returns its seconds."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=FRAME_RATE)
        pictures.pix_fmt, pictures.options = "yuv420p", {"preset": "ultrafast", "crf": "18"}
        sound = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        frames = samples = 0
        for clip in clips:
            begun = frames
            for pixels in read_frames(clip):
                if not frames:
                    pictures.height, pictures.width = pixels.shape[:2]
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frames = frames, frames + 1
                container.mux(pictures.encode(frame))
            wanted = (frames - begun) * SAMPLES_PER_FRAME
            heard_N = np.concatenate([*read_sound(clip), np.zeros(wanted, np.int16)])[:wanted]
            block = av.AudioFrame.from_ndarray(heard_N[None], "s16", "mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, samples, Fraction(1, SAMPLE_RATE)
            samples += wanted
            container.mux(sound.encode(block))
        container.mux(pictures.encode(None))
        container.mux(sound.encode(None))
    return frames / FRAME_RATE


def join_mouths(items: Sequence[Item], path: Path) -> float:
    """The same of items that are mouth clips, and of their sound where all have some."""
    clips = [item.video for item in items if item.video]
    frames = write_clip(
        path, (pixels[..., ::-1] for clip in clips for pixels in read_clip(clip)), {"clips": len(clips)}
    )

    def heard() -> Iterator[NDArray[np.int16]]:
        for item, clip in zip(items, clips, strict=True):
            wanted = len(read_clip(clip, grayscale=True)) * SAMPLES_PER_FRAME
            samples_N = np.pad(read_audio(item.audio or Path()), (0, wanted))[:wanted]
            yield (samples_N * (2**15 - 1)).astype(np.int16)

    if all(item.audio for item in items):
        write_wav(path.with_suffix(".wav"), heard(), frames)
    return frames / FRAME_RATE


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    import resource  # POSIX alone

    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def read_whole(predictor: Any, path: Path) -> tuple[str, list[float]]:
    """The text of a long file, and for each stretch the seconds read beyond its last word when it is known."""
    late: list[float] = []
    read = predictor.read_stretches

    def timed(recording: Any) -> Iterator[Any]:
        for part in read(recording):
            if part is not None and part.words:
                late.append(recording.read / recording.rate - part.words[-1].end)
            yield part

    object.__setattr__(predictor, "read_stretches", timed)
    return predictor.predict_long(path, 1).text, late


def main(argv: list[str]) -> None:
    parser = Parser(
        "long_recordings", "Clips of one talker, joined to one recording, are read as a whole and by pieces."
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run of lipnet or wlas")
    parser.add_argument("inputs", metavar="INPUT", type=Path, nargs="+", help="videos of a sentence, or manifests")
    args = parse(parser, argv)
    import resource

    trained = seqkit.load(args.run)
    items = [item for given in args.inputs if given.suffix == ".jsonl" for item in read_manifest(given)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        seconds = join_mouths(items, path) if items else join(args.inputs, path)
        began, used = time.monotonic(), processor_seconds()
        text, late = read_whole(trained.predictor, path)
        wall, used = time.monotonic() - began, processor_seconds() - used
    peak = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"{seconds:.0f} s of video: {used / seconds:.3f} processor seconds a second, {seconds / wall:.1f} s a second")
    print(f"peak memory: {peak[0]:.0f} MB, and {peak[1]:.0f} MB of the process that decodes")
    if late:
        print(f"words are known {statistics.mean(late):.1f} s later on average, at most {max(late):.1f} s")
    pieces = " ".join(read_pieces(trained, items, args.inputs))
    wer = score("wer", [pieces], [text])["wer"].value
    print(f"whole against pieces: WER {wer:.2f} over {len(pieces.split())} words")
    if items:
        said = " ".join(item.references[0] for item in items)
        values = (score("wer", [said], [own])["wer"].value for own in (text, pieces))
        print("against the references: whole {:.2f}, pieces {:.2f}".format(*values))


def read_pieces(trained: Any, items: Sequence[Item], clips: Sequence[Path]) -> list[str]:
    """The text of every piece alone."""
    if not items:
        return [trained.predict([clip])[0][0].text for clip in clips]
    found = trained.predictor.predict_items(items)
    return [own.text if isinstance(own, Prediction) else own[0].text for own in found]


if __name__ == "__main__":
    sys.exit(run_cli(main))
