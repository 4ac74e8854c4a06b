"""Training says so where its videos are whole faces, and not where they are clips of mouths."""

import dataclasses

import numpy as np
import pytest

from seqkit.data.manifest import read_manifest, write_manifest
from seqkit.data.video_file import write_clip
from seqkit.recipes.lipreading.mouth_clips import remark_whole_faces
from tests.drawn_faces import write_video
from tests.tiny_runs import train


def test_stored_clips_and_small_videos_are_mouths_and_others_are_not(tmp_path, capsys, talking_mouths):
    items = read_manifest(talking_mouths / "train.jsonl")
    write_clip(tmp_path / "large.mp4", [np.zeros((320, 320, 3), np.uint8)] * 5, {"source": "x"})
    own = [dataclasses.replace(items[0], id="own", video=tmp_path / "large.mp4")]
    remark_whole_faces(tmp_path / "train.jsonl", [*items, *own])
    assert capsys.readouterr() == ("", "")
    write_video(tmp_path / "face.mp4", [np.zeros((288, 360, 3), np.uint8)] * 5)
    faces = [dataclasses.replace(items[0], id=name, video=tmp_path / "face.mp4") for name in "ab"]
    remark_whole_faces(tmp_path / "train.jsonl", [*items, *faces])
    told = capsys.readouterr().err
    assert (
        f"train.jsonl: 1 of {len(items) + 1} videos looked at are no mouth clips: {tmp_path / 'face.mp4'} has 360"
        in told
    )
    assert told.count("\n") == 1 and "`seqkit prepare videos` crops" in told


@pytest.mark.parametrize("task", ["lipnet", "wlas"])
def test_a_training_on_whole_faces_says_so(task, tmp_path, capsys, talking_mouths):
    write_video(tmp_path / "face.mp4", [np.full((288, 360, 3), n, np.uint8) for n in range(75)])
    for split in ("train", "val"):
        items = read_manifest(talking_mouths / f"{split}.jsonl")
        others = [dataclasses.replace(item, video=tmp_path / "face.mp4") for item in items]
        write_manifest(tmp_path / "data" / f"{split}.jsonl", others)
    assert train(task, tmp_path / "data", tmp_path / "run", steps=1) == 0
    assert "are no mouth clips: " in capsys.readouterr().err
