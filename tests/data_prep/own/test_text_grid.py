"""TextGrids in every form that Praat reads: what Praat 6.1.38 gives for each was taken from it (praat-parselmouth)."""

import pytest

from seqkit.data_prep.own.text_grid import read_text_grid
from seqkit.errors import InputError

HEAD = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'


def long_form(*intervals: tuple[str, str, str], name: str = "words") -> str:
    text = f"{HEAD}xmin = 0 \nxmax = 3 \ntiers? <exists> \nsize = 1 \nitem []: \n    item [1]:\n"
    text += f'        class = "IntervalTier" \n        name = "{name}" \n        xmin = 0 \n        xmax = 3 \n'
    text += f"        intervals: size = {len(intervals)} \n"
    for number, (start, end, label) in enumerate(intervals, 1):
        text += f"        intervals [{number}]:\n            xmin = {start} \n            xmax = {end} \n"
        text += f'            text = "{label}" \n'
    return text


PLAIN = long_form(("0", "1", ""), ("1", "2", "hello"), ("2", "3", "world"))
SHORT = HEAD + '0\n3\n<exists>\n1\n"IntervalTier"\n"words"\n0\n3\n3\n0\n1\n""\n1\n2\n"hello"\n2\n3\n"world"\n'
SAME = [(0.0, 1.0, ""), (1.0, 2.0, "hello"), (2.0, 3.0, "world")]


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [[tuple(entry) for entry in tier.intervals] for tier in read_text_grid(path)]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        SHORT,
        SHORT.replace("ooTextFile", "ooTextFile short").replace('Object class = "TextGrid"', '"TextGrid"'),
        HEAD + '0s 3s <exists> 1\n"IntervalTier" "words" 0s 3s 3\n0 1 "" 1 2 "hello"\n2 3 "world"',
        PLAIN.replace("size = 3 ", "size = 3 ! three words, 2 spoken"),
        PLAIN.replace("xmin = 1 ", "xmin = +1.0e0 ").replace("xmax = 3 ", "xmax = 300% "),
        PLAIN.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    ],
)
def test_every_form_of_the_same_grid(tmp_path, content):
    assert read(tmp_path / "a.TextGrid", content) == [SAME]


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ('say ""hi"" now', 'say "hi" now'),
        ("hello\nthere", "hello\nthere"),
        ("hello\n\nthere", "hello\n\nthere"),
        ("text = 5", "text = 5"),
        ("intervals [2]:", "intervals [2]:"),
        ('class = ""IntervalTier""', 'class = "IntervalTier"'),
        ("a\nxmin = 7", "a\nxmin = 7"),
        ("hé! 3 <b>", "hé! 3 <b>"),
        ('a \\"" b', 'a \\" b'),
    ],
)
def test_labels_are_kept_whole(tmp_path, written, label):
    grid = long_form(("0", "5e-05", "x"), ("5e-05", "2", written), ("2", "3", "end"))
    assert read(tmp_path / "a.TextGrid", grid) == [[(0.0, 5e-05, "x"), (5e-05, 2.0, label), (2.0, 3.0, "end")]]


def test_points_are_passed_over_and_letters_of_an_old_file_are_read(tmp_path):
    points = '"TextTier" "bell" 0 3 1 1.5 "ding"'
    grid = SHORT.replace("<exists>\n1\n", f"<exists>\n2\n{points}\n").replace("hello", "héllo")
    assert read(tmp_path / "a.TextGrid", grid.encode("latin-1"))[0][1] == (1.0, 2.0, "héllo")
    assert read(tmp_path / "a.TextGrid", HEAD + "0 3 <absent>") == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("hello", "line 1: must be as Praat writes a TextGrid, a text here, got the end"),
        (SHORT[:-3], "line 21: must be as Praat writes a TextGrid, a text here, got '\"'"),
        (SHORT.replace("1\n2\n", "1\n"), "line 17: must be as .*, a number here, got '\"hello\"'"),
        (SHORT.replace("TextGrid", "Sound"), 'line 1: must be .*, "ooTextFile" and "TextGrid" here, got \'ooText'),
        (
            SHORT.replace("\n1\n2\n", "\n0,5\n2\n"),
            "must be as Praat writes a TextGrid, a number with a decimal point here, got '0,5'",
        ),
        (b"ooBinaryFile\x08TextGrid", "must be a TextGrid saved as text, got a binary one"),
    ],
)
def test_what_is_no_text_grid_is_refused(tmp_path, content, fault):
    with pytest.raises(InputError, match=fault):
        read(tmp_path / "a.TextGrid", content)


def test_praat_itself_reads_the_same(tmp_path):
    parselmouth = pytest.importorskip("parselmouth")
    grid = long_form(("0", "5e-05", 'a ""b""\n! c'), ("5e-05", "2", "text = 5"), ("2", "3", "<x> 7"))
    (mine,) = read(tmp_path / "a.TextGrid", grid)
    theirs, call = parselmouth.Data.read(str(tmp_path / "a.TextGrid")), parselmouth.praat.call
    labels = [call(theirs, "Get label of interval...", 1, number) for number in (1, 2, 3)]
    assert [label for _, _, label in mine] == labels
