"""GRID from made-up folders with drawn talkers: golden manifests, splits by law, alignments put right, runs ended."""

import itertools
import json
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from seqkit.data.check import check
from seqkit.data.manifest import read_manifest
from seqkit.data.video_file import read_clip
from seqkit.data_prep.common.jobs import map_jobs
from seqkit.data_prep.lipreading import check_grid, clips, grid, grid_corpus, grid_splits
from seqkit.data_prep.lipreading.clips import ClipResult, Job
from seqkit.data_prep.lipreading.grid_corpus import (
    NAME,
    SLOTS,
    Clip,
    read_alignment,
    read_corpus,
    sentence_of,
    speaker_of,
)
from seqkit.errors import InputError
from tests.corpora import DATA
from tests.drawn_faces import clicks, talking, write_video
from tests.fragile import square

GRID = DATA / "grid"
FRAMES = 10


@pytest.fixture(scope="module")
def talker(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("drawn") / "talker.mp4", talking(FRAMES), clicks(0.4, [0.2]))


def align(path: Path, sentence: str, unit: int = 1000, last: str = "sil") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["sil", *sentence.split(), last]
    path.write_text("".join(f"{unit * n} {unit * (n + 1)} {word}\n" for n, word in enumerate(words)))
    return path


def corpus(raw: Path, talker: Path, names: dict[str, str], *, folder: str = "alignments") -> Path:
    """Clips of every speaker, with right alignments, as published."""
    for speaker, sentences in names.items():
        for name in sentences.split():
            path = raw / speaker / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(talker.read_bytes())
            align(raw / folder / speaker / f"{name}.align", sentence_of(name))
    return raw


def run(raw: Path, out: Path, *argv: str) -> dict:
    grid.main(["--raw", str(raw), "--out", str(out), "--workers", "1", *argv])
    return json.loads((out / "stats.json").read_text())


def bare(speakers: dict[str, int]) -> list[Clip]:
    names = ["".join(letters) for letters in itertools.islice(itertools.product(*SLOTS), 1000)]
    return [Clip(s, name, Path(), None, "missing") for s, number in speakers.items() for name in names[:number]]


def everybody(number: int) -> dict[str, int]:
    return {f"s{n}": number for n in range(1, 35) if n != 21}


# names and alignments


def test_names_spell_sentences():
    assert sentence_of("bbaf2n") == "bin blue at f two now" and sentence_of("swwzzp") == "set white with z zero please"
    sentences = {sentence_of("".join(letters)) for letters in itertools.product(*SLOTS)}
    assert len(sentences) == 4 * 4 * 4 * 25 * 10 * 4
    assert not any(NAME.fullmatch(name) for name in ("bbaw2n", "bbaf0n", "bbaf2", "bbaf2nn", "Bbaf2n", "xbaf2n"))


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("video/s1/bbaf2n.mp4", "s1"),
        ("s1/video/mpg_6000/bbaf2n.mpg", "s1"),
        ("S12/bbaf2n.mpg", "s12"),
        ("s3.mpg_6000.part1/s3/bbaf2n.mpg", "s3"),
        ("s4_processed/align/bbaf2n.align", "s4"),
        ("bbaf2n.mpg", ""),
        ("set1/sound/s123/bbaf2n.mpg", ""),
        ("s1/s2/bbaf2n.mpg", "s2"),
        ("s1x/bbaf2n.mpg", ""),
    ],
)
def test_speakers_by_folder(path, speaker):
    assert speaker_of(Path(path)) == speaker


def test_times_of_an_alignment_are_seconds(tmp_path):
    path = tmp_path / "bbaf2n.align"
    path.write_text("0 23750 sil\n23750 29500 bin\n29500 30000 sp\n\n30000 41000 blue\n41000 74500 sil\n")
    found = read_alignment(path, "s1")
    assert found.words == (("bin", 0.95, 1.18), ("blue", 1.2, 1.64)) and found.ends == 2.98


def test_an_alignment_may_begin_with_a_byte_order_mark(tmp_path):
    path = align(tmp_path / "bbaf2n.align", sentence_of("bbaf2n"))
    words = read_alignment(path).words
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert words is not None and read_alignment(path).words == words


@pytest.mark.parametrize(
    "content",
    ["0 1000\n", "0 " + 400 * "9" + " bin\n", "a b bin\n", "2000 1000 bin\n", "-5 10 bin\n", "", "\xff", "0 9 sil\n"],
)
def test_what_is_no_alignment(content, tmp_path):
    (tmp_path / "a.align").write_bytes(content.encode("latin-1"))
    assert read_alignment(tmp_path / "a.align").words is None
    assert read_alignment(tmp_path / "none.align").words is None


def states(raw: Path) -> dict[str, tuple[str, str]]:
    return {clip.id: (clip.state, clip.alignment.speaker if clip.alignment else "-") for clip in read_corpus(raw).clips}


def test_alignments_in_another_speakers_folder_are_found(tmp_path, talker):
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n bbaf3s bbaf4p", "s2": "lgbc1a lgbc2a lgbc3a", "s3": "pwiz9s"})
    (raw / "alignments" / "s1").rename(raw / "alignments" / "s9")
    (raw / "alignments" / "s2").rename(raw / "alignments" / "s1")
    found = read_corpus(raw)
    assert found.moved == {"s1": "s9", "s2": "s1"}
    assert {state for clip, (state, _) in states(raw).items() if clip != "s3_pwiz9s"} == {"elsewhere"}
    assert states(raw)["s2_lgbc2a"] == ("elsewhere", "s1") and states(raw)["s3_pwiz9s"] == ("agree", "s3")


def test_the_same_sentence_of_another_speaker_is_not_taken(tmp_path, talker):
    """Its words agree, but its times are another's."""
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n bbaf3s", "s2": "bbaf2n lgbc1a"})
    (raw / "alignments" / "s1" / "bbaf2n.align").unlink()
    assert states(raw)["s1_bbaf2n"] == ("missing", "-") and states(raw)["s2_bbaf2n"] == ("agree", "s2")


def test_of_a_swapped_folder_even_clips_that_agree_come_from_the_right_one(tmp_path, talker):
    """Two speakers share one sentence: with their folders exchanged, it must follow its folder."""
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n bbaf3s bbaf4p", "s2": "bbaf2n lgbc1a lgbc2a"})
    for old, new in (("s1", "x"), ("s2", "s1"), ("x", "s2")):
        (raw / "alignments" / old).rename(raw / "alignments" / new)
    assert states(raw)["s1_bbaf2n"] == ("elsewhere", "s2") and states(raw)["s2_bbaf2n"] == ("elsewhere", "s1")


def test_wrong_malformed_and_missing_alignments_are_told_apart(tmp_path, talker):
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n bbaf3s bbaf4p bbaf5a bbaf6n bbaf7s"})
    align(raw / "alignments" / "s1" / "bbaf2n.align", "bin blue at f three now")
    (raw / "alignments" / "s1" / "bbaf3s.align").write_text("nothing\n")
    (raw / "alignments" / "s1" / "bbaf4p.align").unlink()
    align(raw / "alignments" / "s7" / "bbaf2n.align", sentence_of("bbaf2n"))
    found = states(raw)
    assert found["s1_bbaf2n"] == ("elsewhere", "s7")
    assert [found[f"s1_{name}"][0] for name in ("bbaf3s", "bbaf4p", "bbaf5a")] == ["malformed", "missing", "agree"]
    (raw / "alignments" / "s7" / "bbaf2n.align").unlink()
    assert states(raw)["s1_bbaf2n"] == ("mismatch", "-")


def test_alignments_in_no_speakers_folder_are_anybodys(tmp_path, talker):
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n"})
    (raw / "alignments" / "s1" / "bbaf2n.align").rename(raw / "alignments" / "bbaf2n.align")
    assert states(raw)["s1_bbaf2n"] == ("agree", "")
    align(raw / "alignments" / "bbaf2n.align", "bin blue at g two now")
    assert states(raw)["s1_bbaf2n"] == ("mismatch", "-")


def test_of_copies_the_one_in_the_fuller_folder_is_taken(tmp_path, talker):
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n bbaf3s"})
    (raw / "original" / "s1").mkdir(parents=True)
    (raw / "original" / "s1" / "bbaf2n.MPG").write_bytes(b"")
    (raw / "s1" / "._bbaf2n.mp4").write_bytes(b"")
    (raw / "s1" / "holiday.mp4").write_bytes(b"")
    found = read_corpus(raw)
    assert [clip.video.name for clip in found.clips] == ["bbaf2n.mp4", "bbaf3s.mp4"]
    assert [path.name for path in found.copies] == ["bbaf2n.MPG"]
    assert [path.name for path in found.unrecognized] == ["holiday.mp4"]


def test_what_is_odd_about_the_corpus_as_a_whole_is_named(tmp_path, talker):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s"})
    align(raw / "other" / "s1" / "bbaf2n.align", sentence_of("bbaf2n"), unit=900)
    align(raw / "alignments" / "s1" / "lgbczs.align", sentence_of("lgbczs"))
    for name in ("original/s1/bbaf2n.mpg", "s1/holiday.mp4"):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(b"")
    named = run(raw, tmp_path, "--split", "mine")["corpus"]["named"]
    assert named == {
        "copies_left_out": [str(raw / "original" / "s1" / "bbaf2n.mpg")],
        "other_videos": [str(raw / "s1" / "holiday.mp4")],
        "alignments_without_video": [str(raw / "alignments" / "s1" / "lgbczs.align")],
        "alignment_copies_differ": [f"{raw}/alignments/s1/bbaf2n.align was taken, not {raw}/other/s1/bbaf2n.align"],
    }


def test_a_folder_of_one_speaker_may_be_given_itself(tmp_path, talker):
    raw = corpus(tmp_path, talker, {"s7": "bbaf2n"})
    assert [clip.id for clip in read_corpus(raw / "s7").clips] == ["s7_bbaf2n"]


def test_no_clips(tmp_path):
    with pytest.raises(InputError, match=r"must hold GRID's videos, such as s1/bbaf2n.mpg, in it or below, got none$"):
        read_corpus(tmp_path)
    (tmp_path / "cat.mp4").touch()
    with pytest.raises(InputError, match=r"got none \(1 with other names\)"):
        read_corpus(tmp_path)


# splits


def sizes(found: dict[str, list[Clip]]) -> dict[str, int]:
    return {name: len(clips) for name, clips in found.items()}


@pytest.mark.parametrize("protocol", ["overlapped", "speaker", "auto"])
@pytest.mark.parametrize("speakers", [{"s1": 900}, {"s1": 1000, "s2": 30, "s5": 9}, {"s3": 1}, everybody(20)])
def test_splits_part_the_clips(protocol, speakers):
    clips = bare(speakers)
    found = grid_splits.split(clips, protocol)
    assert sorted(c.id for part in found.values() for c in part) == sorted(c.id for c in clips)
    for part in found.values():
        assert [c.id for c in clips if c in set(part)] == [c.id for c in part]  # in order
    if len(clips) > 1:
        assert found["val"] and found["train"]


def test_published_sizes():
    assert sizes(grid_splits.split(bare({"s1": 900}), "auto")) == {"train": 800, "val": 100}
    overlapped = grid_splits.split(bare({"s1": 1000, "s2": 1000}), "overlapped")
    assert sizes(overlapped) == {"train": 2 * 695, "val": 2 * 50, "test": 2 * 255}
    assert Counter(c.speaker for c in overlapped["test"]) == {"s1": 255, "s2": 255}
    few = grid_splits.split(bare({"s1": 900, "s2": 20, "s26": 10}), "auto")
    assert {name: Counter(c.speaker for c in part) for name, part in few.items()} == {
        "train": {"s1": 700, "s2": 16, "s26": 8},
        "val": {"s1": 100, "s2": 2, "s26": 1},
        "test": {"s1": 100, "s2": 2, "s26": 1},
    }


def test_a_speaker_with_few_clips_keeps_one_for_training():
    for number, expected in ((1, {"train": 1}), (2, {"train": 2}), (3, {"train": 1, "val": 1, "test": 1})):
        assert sizes(grid_splits.split(bare({"s1": number}), "overlapped")) == expected


def test_unseen_is_by_speaker():
    for protocol in ("unseen", "auto"):
        found = grid_splits.split(bare(everybody(3)), protocol)
        assert {c.speaker for c in found["test"]} == {"s1", "s2", "s20", "s22"}
        assert {c.speaker for c in found["val"]} == {"s34"}
        assert len({c.speaker for c in found["train"]}) == 33 - 5
    found = grid_splits.split(bare({"s1": 5, "s3": 5, "s4": 5}), "unseen")
    assert [{c.speaker for c in found[name]} for name in ("train", "val", "test")] == [{"s3"}, {"s4"}, {"s1"}]
    found = grid_splits.split(bare({"s1": 5, "s3": 50}), "unseen")
    assert sizes(found) == {"train": 45, "val": 5, "test": 5} and {c.speaker for c in found["val"]} == {"s3"}
    for speakers in ({"s1": 5}, {"s3": 5}):
        with pytest.raises(InputError, match=r"--protocol unseen must find both test speakers .* and others, got none"):
            grid_splits.split(bare(speakers), "unseen")


def test_the_choice_depends_on_seed_and_clip_alone():
    clips = bare({"s1": 900, "s2": 900})
    chosen = {c.id for c in grid_splits.split(clips, "speaker")["val"] if c.speaker == "s1"}
    assert chosen == {c.id for c in grid_splits.split(clips[899::-1], "speaker")["val"]}
    other = {c.id for c in grid_splits.split(clips, "speaker", seed=1)["val"] if c.speaker == "s1"}
    assert len(chosen) == 100 and len(chosen & other) < 40


def test_a_few_of_every_speaker():
    shown = grid_splits.sample(bare({"s1": 900, "s2": 20, "s3": 1}))
    assert Counter(c.speaker for c in shown) == {"s1": 8, "s2": 8, "s3": 1}
    assert len(grid_splits.sample(bare(everybody(3)))) <= grid_splits.SAMPLE_SIZE and grid_splits.sample([]) == []


# the whole of it


def test_golden(tmp_path, talker, capsys):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p", "s2": "lgbczs"})
    (raw / "alignments" / "s1" / "bbaf3s.align").unlink()
    (raw / "s1" / "bbaf4p.mp4").write_bytes(b"no video")
    align(raw / "alignments" / "s1" / "bbaf2n.align", sentence_of("bbaf2n"), unit=1200)
    found = run(raw, tmp_path, "--split", "mine")
    assert sorted(os.listdir(tmp_path)) == ["contact_sheet.jpg", "mine.jsonl", "mouths", "raw", "stats.json"]
    lines = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    words = [[word, 0.048 * n, min(0.4, 0.048 * (n + 1))] for n, word in enumerate(sentence_of("bbaf2n").split(), 1)]
    assert lines[0].pop("words") == [[w, pytest.approx(a), pytest.approx(b)] for w, a, b in words]
    assert lines[:2] == [
        {
            "id": f"s1_{name}",
            "video": f"mouths/s1/{name}.mp4",
            "audio": f"mouths/s1/{name}.wav",
            "references": [sentence_of(name)],
            "seconds": 0.4,
            "speaker": "s1",
        }
        for name in ("bbaf2n", "bbaf3s")
    ]
    assert lines[2]["id"] == "s2_lgbczs" and len(lines) == 3
    assert found["mine"] == {"items": 3, "seconds": 1.2, "speakers": {"s1": 2, "s2": 1}}
    reasons = found["corpus"].pop("reasons")
    assert list(reasons) == ["s1_bbaf4p"] and "must be a video, got something else" in reasons["s1_bbaf4p"]
    assert found["corpus"] == {
        "protocol": "all into mine",
        "seed": 0,
        "videos": 4,
        "items": 3,
        "frames": 30,
        "without_words": 1,
        "without_sound": 0,
        "held_still": 3,
        "dropped": {"unreadable": 1},
        "alignments": {"agree": 3, "missing": 1},
        "alignments_in_the_folder_of": {},
        "copies_left_out": 0,
        "other_videos": 0,
        "named": {"unreadable": ["s1_bbaf4p"], "alignment_missing": ["s1_bbaf3s"]},
        "remarks": {},
    }
    assert "mine items=3 seconds=1.2" in capsys.readouterr().out
    assert not any(finding.problem for finding in check(tmp_path)[1])
    assert cv2.imread(str(tmp_path / "contact_sheet.jpg")).shape == (3 * 160, 5 * 160, 3)
    assert read_clip(read_manifest(tmp_path / "mine.jsonl")[0].video).shape == (FRAMES, 160, 160, 3)


def test_what_is_odd_about_clips_is_counted_and_named(tmp_path, talker):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p bbaf5a bbaf6n"})
    write_video(raw / "s1" / "bbaf3s.mp4", talking(FRAMES))
    write_video(raw / "s1" / "bbaf4p.mp4", [np.full((144, 176, 3), 90, np.uint8)] * FRAMES)
    write_video(raw / "s1" / "bbaf5a.mp4", talking(1))
    align(raw / "alignments" / "s1" / "bbaf6n.align", sentence_of("bbaf6n"), unit=3000)
    found = run(raw, tmp_path)["corpus"]
    assert found["items"] == 2 and found["without_sound"] == 1
    assert found["dropped"] == {"no_face": 1, "short": 1, "cut_off": 1}
    assert found["named"] == {
        "no_face": ["s1_bbaf4p"],
        "short": ["s1_bbaf5a"],
        "cut_off": ["s1_bbaf6n"],
        "no_sound": ["s1_bbaf3s"],
    }
    assert found["reasons"]["s1_bbaf6n"].endswith("must last until the last word ends, 0.84 seconds, got 0.4")
    items = [item for name in ("train", "val") for item in read_manifest(tmp_path / f"{name}.jsonl")]
    assert [item.audio is None for item in sorted(items, key=lambda item: item.id)] == [False, True]


def test_no_video_of_use(tmp_path, talker):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n"})
    (raw / "s1" / "bbaf2n.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"must hold usable videos, got none: {'unreadable': 1}; the first: .*bbaf2n"):
        run(raw, tmp_path)
    (raw / "s1" / "bbaf2n.mp4").unlink()
    (raw / "s1" / "bbaf2n.mp4").symlink_to(raw / "gone.mp4")
    with pytest.raises(InputError, match=r"{'missing': 1}; the first: .*cannot be opened"):
        run(raw, tmp_path)


def test_flags(tmp_path):
    with pytest.raises(InputError, match="the following arguments are required: --out"):
        grid.main(["--raw", str(tmp_path)])
    with pytest.raises(InputError, match="--workers must be at least 1, got 0"):
        grid.main(["--raw", str(tmp_path), "--out", str(tmp_path), "--workers", "0"])


# runs that are ended


def test_finished_clips_are_kept_and_changed_ones_made_anew(tmp_path, talker):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p bbaf5a"})
    run(raw, tmp_path)
    made = {path.name: path for path in (tmp_path / "mouths" / "s1").iterdir()}
    times = {name: path.stat().st_mtime_ns for name, path in made.items()}
    write_video(raw / "s1" / "bbaf3s.mp4", talking(FRAMES + 2))
    made["bbaf4p.wav"].unlink()
    made["bbaf5a.mp4"].write_bytes(made["bbaf5a.mp4"].read_bytes()[:2000])
    run(raw, tmp_path)
    changed = {name for name, path in made.items() if path.stat().st_mtime_ns != times[name]}
    assert changed - {"bbaf3s.wav"} == {"bbaf3s.mp4", "bbaf4p.mp4", "bbaf4p.wav", "bbaf5a.mp4", "bbaf5a.wav"}
    assert len(read_clip(made["bbaf3s.mp4"])) == FRAMES + 2


def test_an_interrupt_loses_nothing_that_is_finished(tmp_path, talker, monkeypatch, decoded_here):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p"})
    begun = []

    def stopped(job: Job) -> ClipResult:
        begun.append(job)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return clips.make_clip(job)

    monkeypatch.setattr(grid, "make_clip", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(raw, tmp_path)
    times = [job.video.stat().st_mtime_ns for job in begun[:2]]
    assert not begun[2].video.exists()
    monkeypatch.undo()
    run(raw, tmp_path)
    assert [job.video.stat().st_mtime_ns for job in begun[:2]] == times and begun[2].video.exists()


def test_a_clip_that_ends_its_process_stops_nothing():
    jobs = list(range(9))  # more than are done without another process
    found = sorted(map_jobs(square, jobs, workers=1, title="squares", unit="numbers", crash=lambda number: -number))
    assert found == [(number, -1 if number == 1 else number**2) for number in jobs]


def test_a_crash_is_told():
    job = Job(Path("a.mp4"), Path(), Path())
    assert clips.crash_result(job).reason == "crashed"
    assert check_grid.crashed_check(job).fault.startswith("a.mp4: must be a whole video, got one that ends the process")


def test_several_processes_do_the_same(tmp_path, talker):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p"})
    run(raw, tmp_path / "one")
    grid.main(["--raw", str(raw), "--out", str(tmp_path / "two"), "--workers", "2"])
    for name in ("train.jsonl", "val.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    for path in (tmp_path / "one" / "mouths" / "s1").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "mouths" / "s1" / path.name).read_bytes()


# check_grid


def test_faults_of_a_corpus_are_named_without_preparing_it(tmp_path, talker, capsys):
    raw = corpus(tmp_path / "raw", talker, {"s1": "bbaf2n bbaf3s bbaf4p bbaf5a bbaf6n", "s2": "lgbczs"})
    (raw / "alignments" / "s2").rename(raw / "alignments" / "s5")
    write_video(raw / "s1" / "bbaf3s.mp4", talking(FRAMES))
    write_video(raw / "s1" / "bbaf4p.mp4", [np.full((144, 176, 3), 90, np.uint8)] * 8, np.zeros(5000, np.int16))
    (raw / "s1" / "bbaf5a.mp4").write_bytes(talker.read_bytes()[:3000])
    align(raw / "alignments" / "s1" / "bbaf6n.align", "bin blue at f six again")
    write_video(raw / "s1" / "bbaf6n.mp4", talking(FRAMES), clicks(2, [0.1]))
    check_grid.main(["--raw", str(raw), "--workers", "1", "--out", str(tmp_path)])
    text = capsys.readouterr().out
    assert "alignments of s2 lie in the folder of s5; they are taken from there" in text
    assert "s1             5       38        4" in text and "no_face (1): s1_bbaf4p" in text
    found = json.loads((tmp_path / "stats.json").read_text())["check"]
    assert found["named"] == {
        "no_sound": ["s1_bbaf3s"],
        "no_face": ["s1_bbaf4p"],
        "silent": ["s1_bbaf4p"],
        "undecodable": ["s1_bbaf5a"],
        "alignment_mismatch": ["s1_bbaf6n"],
        "sound_of_other_length": ["s1_bbaf6n"],
        "alignment_elsewhere": ["s2_lgbczs"],
    }
    assert found["found_in"] == {"s2_lgbczs": str(raw / "alignments" / "s5" / "lgbczs.align")}
    assert found["speakers"]["s1"]["lengths"] == {"10": 3, "8": 1, "0": 1}
    assert cv2.imread(str(tmp_path / "contact_sheet.jpg")).shape == (2 * 160, 2 * 5 * 160, 3)
    assert sorted(os.listdir(tmp_path)) == ["contact_sheet.jpg", "raw", "stats.json"]


def test_a_sound_corpus_has_no_faults(tmp_path, talker, capsys):
    check_grid.main(["--raw", str(corpus(tmp_path, talker, {"s1": "bbaf2n"})), "--workers", "1"])
    assert "nothing is wrong" in capsys.readouterr().out and sorted(os.listdir(tmp_path)) == ["alignments", "s1"]


def test_sentences_that_outlast_their_video_and_copies_are_named(tmp_path, talker, capsys):
    raw = corpus(tmp_path, talker, {"s1": "bbaf2n"})
    align(raw / "alignments" / "s1" / "bbaf2n.align", sentence_of("bbaf2n"), unit=3000)
    (raw / "s1" / "bbaf2n.mpg").write_bytes(b"")
    (raw / "s1" / "bbaf2n.avi").write_bytes(talker.read_bytes())
    (raw / "s1" / "bbaf2n.mpg").unlink()
    check_grid.main(["--raw", str(raw), "--workers", "1"])
    text = capsys.readouterr().out
    assert "cut_off (1): s1_bbaf2n" in text and "1 videos are there twice" in text


@pytest.mark.skipif(not GRID.is_dir(), reason=f"the shared clips of GRID are not at {GRID}")
def test_the_shared_clips(tmp_path):
    """Every alignment is right, every name is a sentence; two clips of one speaker become crops."""
    found = grid_corpus.read_corpus(GRID)
    assert Counter(clip.state for clip in found.clips) == {"agree": 1050} and len(found.copies) == 12
    assert Counter(clip.speaker for clip in found.clips)["s1"] == 900
    for name in ("bgbsza", "bwaq8s"):
        for kind, ending in (("video", "mp4"), ("align", "align")):
            (tmp_path / kind / "s26").mkdir(parents=True, exist_ok=True)
            (tmp_path / kind / "s26" / f"{name}.{ending}").symlink_to(GRID / kind / "s26" / f"{name}.{ending}")
    counts = run(tmp_path, tmp_path / "out", "--split", "s26")
    assert counts["corpus"]["frames"] == 150 and counts["corpus"]["without_words"] == 0
    assert not any(finding.problem for finding in check(tmp_path / "out")[1])
