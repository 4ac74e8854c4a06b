"""Files of word vectors as GloVe, fastText and word2vec publish them."""

import gzip

import pytest

from seqkit.data.vocab import WordVocab
from seqkit.errors import InputError
from seqkit.recipes.vqa.word_vectors import read_vectors

VOCAB = WordVocab(["what", "is", "odd", "3"])
NONE = [[0.0, 0.0]] * 4
READ = [*NONE, [-1.0, 0.0], [1.0, 2.5], [0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "content",
    [
        "is 1 2.5\nnever 3 4\nwhat -1 0\n",
        "3 2\nis 1 2.5 \nnever 3 4 \nwhat -1 0 \n",  # fastText: a header, and a space at the end
        "\ufeffis 1 2.5\r\n. . . 3 4\r\nwhat -1 0\r\n",  # GloVe: a word of three dots
        ". . . 3 4\nis 1 2.5\nat name@domain.com 7 8\nwhat -1 0\n",
        "is\t1\t2.5\n\nwhat\t-1\t0\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_are_read_for_the_words_at_hand(content, packed, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert read_vectors(path, VOCAB).tolist() == READ


def test_a_number_is_a_word_too_and_of_two_vectors_the_first_is_taken(tmp_path, capsys):
    (tmp_path / "a").write_text("3 1 2\nis 3 4\n3 5 6\n")
    assert read_vectors(tmp_path / "a", VOCAB)[7].tolist() == [1, 2]
    assert "vectors of 2 numbers for 2 of 8 words, the first of 1 that come twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("is 1 2\nwhat 1\n", "line 2: must be a word and 2 numbers, got 1"),
        ("2 2\nis 1 2\nwhat 1\n", "line 3: must be a word and 2 numbers, got 1"),
        ("is one two\n", "line 1: must be a word and numbers, got 'one'"),
        ("is nan 1\n", "line 1: must be a word and finite numbers, got NaN or infinity"),
        ("is\n", "line 1: must be a word and its numbers, got 0"),
        ("", "line 1: must be a word and its numbers, got 0"),
        ("IS 1 2\nwas 3 4\n", "must have vectors of the words of questions, got none; take a file of their language"),
    ],
)
def test_faulty_files_are_named(content, message, tmp_path):
    (tmp_path / "vectors.txt").write_text(content)
    with pytest.raises(InputError, match=f"vectors.txt(, |: ){message}"):
        read_vectors(tmp_path / "vectors.txt", VOCAB)


def test_the_width_is_told_by_what_are_numbers_and_words_come_in_any_normal_form(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text(". . . 0.1 0.2\nre\u0301d 0.5 2\n", encoding="utf-8")
    assert read_vectors(path, WordVocab(["r\u00e9d", "dog"]))[4].tolist() == [0.5, 2.0]


@pytest.mark.parametrize("content", [b"2 3\ncat \x00\x01\x02\x03\x00\x00\x80\x3f\n", b"\xba\x16\x4f\x2f\x0c\0abcdefgh"])
def test_binaries_of_word2vec_and_fasttext_are_named(content, tmp_path):
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(
        InputError, match=r"v.bin: must be word vectors in text, got a binary file; take the one in text"
    ):
        read_vectors(tmp_path / "v.bin", WordVocab(["cat"]))


def test_a_header_of_many_digits_is_no_traceback(tmp_path):
    (tmp_path / "v.txt").write_text(f"{'9' * 5000} {'9' * 5000}\ncat 1 2\n")
    with pytest.raises(InputError, match="v.txt: must have vectors of the words|must be a word and"):
        read_vectors(tmp_path / "v.txt", WordVocab(["dog"]))


def test_no_file_is_named(tmp_path):
    with pytest.raises(InputError, match="`glove` must be a file of word vectors, got .*none.txt, which is none"):
        read_vectors(tmp_path / "none.txt", VOCAB)
