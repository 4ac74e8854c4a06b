"""What the models read: the choice of streams, and how video, audio and features are prepared and augmented."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from seqkit.data.files import read_json
from seqkit.described import described
from seqkit.errors import InputError
from seqkit.ranges import Range

Modality = Literal["video", "audio", "both"]
STREAMS: Mapping[Modality, tuple[str, ...]] = {"video": ("video",), "audio": ("audio",), "both": ("video", "audio")}
MOST_FEATURES = 1 << 20  # of a vector
STATISTICS = "inputs.json"  # the input statistics in a checkpoint's folder


@described
@dataclass(frozen=True)
class VideoConfig:
    """Mouth clips: center crop, size and augmentation."""

    crop_size: Annotated[tuple[int, int], Range(min=1)] = (50, 100)
    """height and width of the center crop in pixels (LipNet: 50, 100; Chung et al.: 120, 120)"""
    frame_size: Annotated[tuple[int, int], Range(min=1)] = (50, 100)
    """height and width that the crop is resized to (LipNet: 50, 100; Chung et al.: 120, 120)"""
    grayscale: bool = False
    """convert frames to grayscale (Chung et al.: true)"""
    horizontal_flip: Annotated[float, Range(min=0, max=1)] = 0.5
    """probability that a training clip is flipped left to right (LipNet: every clip is used both ways)"""
    crop_jitter: Annotated[int, Range(min=0)] = 0
    """largest shift of a training clip's crop, in pixels each way"""
    frame_drop: Annotated[float, Range(min=0, max=0.5)] = 0.05
    """probability that a training frame is dropped, and that it is repeated; not beside audio (LipNet: 0.05)"""
    random_erasing: Annotated[float, Range(min=0, max=1)] = 0.0
    """probability that a box is erased in a span of a training clip (Zhong et al. 2020)"""
    keep_decoded: Annotated[int, Range(min=0)] = 0
    """most MiB of decoded clips that each process keeps in memory; 0: clips are decoded in every epoch"""


@described
@dataclass(frozen=True)
class FeatureConfig:
    """Feature vectors, precomputed or of audio: normalization and augmentation."""

    normalize: Literal["utterance", "corpus"] | None = "utterance"
    """mean 0 and deviation 1 of each feature, over the utterance or the training set; null: as they are"""
    time_mask: Annotated[int, Range(min=0)] = 0
    """longest span of steps masked in training, twice an utterance (Park et al. 2019: 40)"""
    freq_mask: Annotated[int, Range(min=0)] = 0
    """most adjacent features masked in training, twice an utterance (Park et al. 2019: 27 of 80)"""
    feature_noise: Annotated[float, Range(min=0)] = 0.0
    """standard deviation of Gaussian noise on normalized features in training"""


@described
@dataclass(frozen=True)
class AudioConfig:
    """Acoustic features, one vector every 10 ms, and additive noise."""

    features: Literal["mfcc", "log_mel"] = "mfcc"
    """kind of acoustic feature (Chung et al.: mfcc)"""
    num_features: Annotated[int, Range(min=1)] = 13
    """number of MFCC coefficients or mel filters (Chung et al.: 13)"""
    speed_perturb: bool = False
    """train on speeds 0.9, 1.0 and 1.1, a third each; for examples with audio alone (Ko et al. 2015)"""
    noise: str = "white"
    """additive noise: white (Chung et al.), babble (six other utterances), or an audio file"""


class InputStatistics(NamedTuple):
    """What a stream consists of, with mean and standard deviation over the training set."""

    kind: Literal["pixels", "features"]
    mean: tuple[float, ...]  # of each channel on the scale from 0 to 1, or of each feature
    std: tuple[float, ...]
    rate: float | None = None  # precomputed features a second, where known


def read_statistics(checkpoint: Path, grayscale: bool) -> dict[str, InputStatistics]:
    """The input statistics of every stream of a run. Raises InputError for a file that is missing, damaged or of other
    channels than `grayscale` means."""
    if not (checkpoint / STATISTICS).is_file():
        raise InputError(f"{checkpoint}: must be of a run of lipnet or wlas, got one without {STATISTICS}")
    path = checkpoint / STATISTICS
    values = read_json(path)
    try:
        found = {
            n: InputStatistics(v["kind"], tuple(map(float, v["mean"])), tuple(map(float, v["std"])), v.get("rate"))
            for n, v in values.items()
        }
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        found = {"": InputStatistics("pixels", (), ())}
    for name, own in found.items():
        wide = len(own.mean) in ((1 if grayscale else 3,) if own.kind == "pixels" else range(1, MOST_FEATURES))
        rated = own.rate is None or isinstance(own.rate, int | float) and 0 < own.rate < 1e6
        if name not in STREAMS["both"] or own.kind not in ("pixels", "features") or not (wide and rated):
            raise InputError(
                f"{path}: must have `kind`, `mean`, `std` and `rate` of video or audio, got a damaged file"
            )
        if own.kind == "pixels" and min(own.std, default=0.0) <= 0:
            raise InputError(f"{path}: `std` must be above 0, got a damaged file")
        if len(own.std) != len(own.mean) or not all(abs(number) < 1e9 for number in (*own.mean, *own.std)):
            raise InputError(f"{path}: `mean` and `std` must be as many numbers of a usual size, got a damaged file")
    return found
