"""Readers of pictures, video, sound and feature arrays."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from seqkit.data.check import check
from seqkit.data.decoder_process import apart
from seqkit.data.manifest import Item
from seqkit.data.video_file import write_clip
from seqkit.recipes.lipreading.data import read_features, segment
from seqkit.recipes.lipreading.raw_video import file_offset, raw_item
from tests.damage import decoders
from tests.damage.outcomes import Reader
from tests.damage.texts import jsonl
from tests.drawn_faces import clicks, talking, write_video

RATE = 16_000
CONTAINERS = {
    "a.mp4": ("libx264", "aac"), "a.mkv": ("libx264", "pcm_s16le"), "a.mov": ("mjpeg", "pcm_s16le"),
    "a.avi": ("mpeg4", "mp2"), "a.mpg": ("mpeg1video", "mp2"), "a.ts": ("mpeg2video", "mp2"),
    "a.webm": ("libvpx", "libopus"), "a.flv": ("flv", "aac"), "a.gif": ("gif", ""),
}  # fmt: skip
MODES = {
    "a.jpg": "RGB", "a.png": "RGBA", "p.png": "P", "g.png": "I;16", "a.gif": "P", "a.webp": "RGB", "a.bmp": "RGB",
    "a.tif": "RGB", "g.tif": "I;16", "a.ppm": "RGB", "a.jp2": "RGB", "a.ico": "RGBA", "a.avif": "RGB",
}  # fmt: skip
SOUNDS = {
    "a.wav": "PCM_16", "f.wav": "FLOAT", "u.wav": "ULAW", "a.flac": "PCM_16", "a.ogg": "VORBIS",
    "a.mp3": "MPEG_LAYER_III", "a.aiff": "PCM_16", "a.au": "PCM_16",
}  # fmt: skip


def make_video(name: str) -> Callable[[Path], object]:
    codec, sound = CONTAINERS[name]

    def make(folder: Path) -> None:
        with av.open(str(folder / name), "w") as file:
            video = file.add_stream(codec, rate=25)
            video.height, video.width, video.pix_fmt = (
                32,
                48,
                {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p"),
            )
            heard = (
                file.add_stream(sound, rate=48_000 if sound == "libopus" else RATE, layout="mono") if sound else None
            )
            noise = np.random.default_rng(0)
            for number in range(5):
                pixels = noise.integers(0, 255, (4, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            if heard is not None:
                samples = noise.integers(-9000, 9000, (1, round(0.2 * heard.rate)), np.int16)
                piece = av.AudioFrame.from_ndarray(samples, "s16", "mono")
                piece.sample_rate, piece.pts, piece.time_base = heard.rate, 0, Fraction(1, heard.rate)
                file.mux(heard.encode(piece))
                file.mux(heard.encode(None))

    return make


def make_stored(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 32, 48, 3), np.uint8)
    write_clip(folder / "clip.mp4", noise, {"frames": 8, "source": "x", "boxes": [[1, 2, 3, 4.5]]})


def decoded(name: str, function: Callable[[Path], object]) -> Callable[[Path], object]:
    """What a command gets of a file: decoders work in a process of their own."""
    return lambda folder: apart(folder / name, function, folder / name)


def make_pictures(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 4), np.uint8).repeat(6, 0).repeat(6, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode in MODES.items():
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels)
        others = {"exif": exif} if name in ("a.jpg", "a.webp", "a.png") else {}
        (image if mode == "I;16" else image.convert(mode)).save(folder / name, **others)


def make_sounds(folder: Path) -> None:
    samples = (0.3 * np.random.default_rng(0).standard_normal((2000, 2))).clip(-1, 1).astype(np.float32)
    for name, kind in SOUNDS.items():
        soundfile.write(folder / name, samples, {"f.wav": 16_001, "u.wav": 22_050}.get(name, RATE), subtype=kind)
    for name in ("a.wav", "a.flac"):
        (folder / f"joined{name[1:]}").write_bytes(2 * (folder / name).read_bytes())


def make_features(folder: Path) -> None:
    np.save(folder / "f.npy", np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32))


def read_rows(folder: Path) -> object:
    words = (("a", 0.0, 0.2), ("b", 0.2, 0.6))
    item = Item(id="a", features=folder / "f.npy", seconds=0.8, words=words)
    return read_features(item), read_features(segment(item, 0, 1))


def make_talker(folder: Path) -> None:
    write_video(folder / "talker.mp4", talking(8), clicks(0.3, [0.1]))


def raw(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        out = folder.parent / f"{folder.name}.out"
        out.mkdir(exist_ok=True)
        for path in out.iterdir():
            path.unlink()
        return raw_item(folder / name, out, video=False), file_offset(folder / name)

    return read


def make_checked(folder: Path) -> None:
    make_pictures(folder)
    make_sounds(folder)
    make_video("a.mp4")(folder)
    item = {"image": "a.jpg", "video": "a.mp4", "audio": "a.wav", "references": ["x"], "seconds": 0.1}
    (folder / "train.jsonl").write_bytes(jsonl({"id": "a", **item}))


READERS = [
    *(Reader(f"picture {name}", make_pictures, decoded(name, decoders.picture), [name]) for name in MODES),
    *(
        Reader(f"sound {n}", make_sounds, decoded(n, decoders.sound), [n])
        for n in (*SOUNDS, "joined.wav", "joined.flac")
    ),
    *(Reader(f"video {name}", make_video(name), decoded(name, decoders.video), [name]) for name in CONTAINERS),
    Reader("stored clip", make_stored, decoded("clip.mp4", decoders.video), ["clip.mp4"]),
    Reader("features", make_features, read_rows, ["f.npy"]),
    Reader("mouth of a video", make_talker, decoded("talker.mp4", decoders.mouth), ["talker.mp4"]),
    Reader("input that is a video", make_video("a.mp4"), raw("a.mp4"), ["a.mp4"]),
    Reader("input that is sound", make_sounds, raw("a.wav"), ["a.wav"]),
    Reader("check of media", make_checked, lambda folder: check(folder), ["a.jpg", "a.mp4", "a.wav"]),
]
