"""Videos made for tests: a drawn face that the cascade takes for one, its place known exactly, and sound with clicks.

Frames are (H, W, 3), red first, 8 bits; places are pixels, a face is centre x, centre y, width.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 16_000
SKY, HAIR, SKIN, SOCKET, NOSE = (70, 120, 150), (60, 50, 40), (220, 180, 150), (170, 135, 110), (240, 200, 170)
LIPS, DARK, WHITE = (170, 80, 80), (30, 30, 30), (235, 235, 235)


def face(
    shape: tuple[int, int] = (144, 176),
    x: float = 88,
    y: float = 66,
    width: float = 70,
    *,
    opened: float = 0.3,
    picture: np.ndarray | None = None,
) -> np.ndarray:
    """A face, drawn into `picture` or before a plain sky."""
    drawn = np.full((*shape, 3), SKY, np.uint8) if picture is None else picture

    def oval(right: float, down: float, half_width: float, half_height: float, colour: tuple[int, int, int]) -> None:
        sixteenths = [round(16 * value) for value in (x + right * width, y + down * width)]
        axes = [round(16 * width * half) for half in (half_width, half_height)]
        cv2.ellipse(drawn, sixteenths, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)

    oval(0, 0.02, 0.46, 0.62, HAIR)
    oval(0, 0.1, 0.40, 0.55, SKIN)
    for side in (-1, 1):
        oval(side * 0.19, -0.14, 0.115, 0.075, SOCKET)
        oval(side * 0.19, -0.22, 0.11, 0.022, HAIR)
        oval(side * 0.19, -0.13, 0.07, 0.035, WHITE)
        oval(side * 0.19, -0.13, 0.033, 0.035, DARK)
        oval(side * 0.05, 0.13, 0.022, 0.014, SOCKET)
    oval(0, 0.03, 0.03, 0.12, NOSE)
    oval(0, 0.30, 0.14, 0.03 + 0.05 * opened, LIPS)
    oval(0, 0.30, 0.10, 0.008 + 0.045 * opened, DARK)
    return cv2.GaussianBlur(drawn, (0, 0), width / 110)


def talking(frames: int, places: Sequence[tuple[float, float]] = ((88, 66),), **others: float) -> list[np.ndarray]:
    """A face at each of the places in turn, the last of which stays, with a mouth that opens and shuts."""
    path = [*places, *[places[-1]] * (frames - len(places))][:frames]
    return [face(x=x, y=y, opened=abs(np.sin(0.7 * number)), **others) for number, (x, y) in enumerate(path)]


def clicks(seconds: float, at: Iterable[float], rate: int = RATE) -> np.ndarray:
    """Near silence with clicks of 10 samples, 16 bits."""
    sound = np.random.default_rng(0).integers(-20, 20, round(seconds * rate)).astype(np.int16)
    for time in at:
        sound[round(time * rate) : round(time * rate) + 10] = 20_000
    return sound


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    sound: np.ndarray | None = None,
    *,
    rate: int = RATE,
    fps: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    begins: float = 0.0,
    options: str = "",
) -> Path:
    """A file with the frames at `times` in seconds, else at `fps`; its sound begins at `begins`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options={"movflags": options} if options else {}) as container:
        video = container.add_stream(codec, rate=fps)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "crf": "12", "bf": "0"}
        else:
            video.bit_rate = 2_000_000
        tick = Fraction(1, fps) if times is None else Fraction(1, 12_800)
        if times is not None:
            video.codec_context.time_base = tick
        heard = (
            container.add_stream(
                "pcm_s16le" if path.suffix in (".mkv", ".mov") else "mp2" if path.suffix == ".mpg" else "aac",
                rate=rate,
                layout="mono",
            )
            if sound is not None
            else None
        )
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number if times is None else round(times[number] / tick), tick
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if heard is not None:
            piece = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            piece.rate, piece.pts, piece.time_base = rate, round(begins * rate), Fraction(1, rate)
            container.mux(heard.encode(piece))
            container.mux(heard.encode(None))
    return path
