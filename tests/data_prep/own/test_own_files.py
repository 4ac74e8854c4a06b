"""A newcomer's path: a folder of face videos, under names of any kind, to a trained and evaluated lip reader."""

import re
import shlex
import shutil

import pytest

from seqkit.cli import main
from seqkit.data_prep.lipreading.grid_corpus import read_alignment
from tests.corpora import DATA
from tests.data_prep.own.test_videos import subtitles
from tests.raw_files import stats
from tests.test_docs import ROOT, blocks
from tests.tiny_runs import FIELDS, SHORT, words

GRID = DATA / "grid"


@pytest.mark.skipif(not (GRID / "video" / "s1").is_dir(), reason=f"needs GRID in {GRID} (set SEQKIT_DATA)")
@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_the_guides_commands_make_a_lip_reader_of_face_videos(tmp_path, monkeypatch, capsys, count):
    clips = sorted((GRID / "video" / "s1").glob("*.mp4"))[:: 900 // count][:count]
    (tmp_path / "VIDEOS").mkdir()
    for number, clip in enumerate(clips, 1):
        spoken = read_alignment(GRID / "align" / "s1" / f"{clip.stem}.align").words
        text = subtitles((spoken[0][1], spoken[-1][2], " ".join(word for word, _, _ in spoken)))
        (tmp_path / "VIDEOS" / f"VID_{number:04d}.srt").write_text(text)
        shutil.copy(clip, tmp_path / "VIDEOS" / f"VID_{number:04d}.mp4")
    shutil.copy(clips[0], tmp_path / "me.mp4")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "own_files.md"
    (code,) = (block.code for block in blocks(page) if "seqkit prepare videos --raw VIDEOS" in block.code)
    small = words({**FIELDS["lipnet"], **SHORT, "workers": 0, "grayscale": "true", "channels": 0.25})
    for line in code.splitlines():
        line = re.sub(r"--steps \d+", " ".join(small), line)
        line += " --workers 1" if " prepare " in line else ""
        assert main(shlex.split(line)[1:]) == 0, line
    told = stats(tmp_path / "LIPS")["all"]
    assert told["items"] == count and told["dropped"] == {} and told["texts"] == {".srt": count}
    assert (tmp_path / "READER" / "evaluate" / "test" / "report.json").is_file()
    assert "look at LIPS/contact_sheet.jpg" in capsys.readouterr().out
