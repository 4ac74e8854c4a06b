"""N-gram models against a written-out reference, and against KenLM where it is installed."""

import gzip
import io
import itertools
import math
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from seqkit.decode import ngram_train
from seqkit.decode.arpa import load_arpa, write_arpa
from seqkit.decode.ngram import BOS, EOS, UNK, Ngram, NgramTables
from seqkit.decode.ngram_file import load_ngram, write_ngram
from seqkit.decode.ngram_train import discounts, train_ngram
from seqkit.errors import InputError

Gram = tuple[str, ...]


def corpus(seed: int, *, sentences: int = 60, words: str = "abcdefgh") -> list[list[str]]:
    """Sentences of a random chain, so that contexts tell something; some are empty."""
    rng = random.Random(seed)
    following = {word: rng.sample(words, min(3, len(words))) for word in words}
    found = []
    for _ in range(sentences):
        sentence, word = [], rng.choice(words)
        for _ in range(rng.randint(0, 9)):
            word = rng.choice(following[word]) if rng.random() < 0.8 else rng.choice(words)
            sentence.append(word)
        found.append(sentence)
    return found


class Reference:
    """Chen and Goodman's equations over dictionaries."""

    def __init__(self, sentences: list[list[str]], order: int) -> None:
        self.order, whole = order, [["<s>", *sentence, "</s>"] for sentence in sentences]
        raw: list[dict[Gram, int]] = [defaultdict(int) for _ in range(order + 1)]
        for sentence in whole:
            for n in range(1, order + 1):
                for i in range(len(sentence) - n + 1):
                    raw[n][tuple(sentence[i : i + n])] += 1
        self.words = sorted({word for sentence in sentences for word in sentence})
        self.counts: list[dict[Gram, int]] = [{}]
        for n in range(1, order + 1):
            before = defaultdict(set)
            for gram in raw[n + 1] if n < order else ():
                before[gram[1:]].add(gram[0])
            self.counts.append(
                {
                    gram: count if n == order or gram[0] == "<s>" else len(before[gram])
                    for gram, count in raw[n].items()
                    if gram != ("<s>",)
                }
            )
        self.discounts = [self.discount(list(counts.values())) for counts in self.counts]

    @staticmethod
    def discount(counts: list[int]) -> list[float]:
        t = [sum(count == k for count in counts) for k in range(5)]
        if t[1] and t[2] and t[3]:
            y = t[1] / (t[1] + 2 * t[2])
            found = [k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3)]
            if min(found) >= 0:
                return [0.0, *found]
        return [0.0, 0.5, 1.0, 1.5]

    def probability(self, word: str, context: Gram) -> float:
        context = context[len(context) - self.order + 1 :] if len(context) >= self.order else context
        n = len(context) + 1
        following = {gram[-1]: count for gram, count in self.counts[n].items() if gram[:-1] == context}
        total = sum(following.values())
        lower = self.probability(word, context[1:]) if context else 1 / (len(self.words) + 2)
        if not total:
            return lower
        taken = {w: self.discounts[n][min(count, 3)] for w, count in following.items()}
        own = following.get(word, 0) - taken.get(word, 0.0)
        return own / total + sum(taken.values()) / total * lower


def ask(model: Ngram, sentence: list[str]) -> list[float]:
    """log p of each word and of the end."""
    ids, tables = {symbol: i for i, symbol in enumerate(model.symbols)}, NgramTables(model)
    _, node_N = tables.follow(torch.tensor([0]), torch.tensor([BOS]))
    found = []
    for word in [*(ids.get(word, UNK) for word in sentence), EOS]:
        logprob_N, node_N = tables.follow(node_N, torch.tensor([word]))
        found.append(float(logprob_N))
    return found


def contexts(model: Ngram) -> torch.Tensor:
    return torch.unique(torch.from_numpy(model.context_G)).long()


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_probabilities_are_those_of_the_equations(order: int, seed: int) -> None:
    sentences = corpus(seed, sentences=60 if seed % 2 else 25, words="abcdefgh" if seed < 3 else "ab")
    reference, model = Reference(sentences, order), train_ngram(sentences, order)
    assert sorted(model.symbols[3:]) == reference.words
    assert np.diff(model.bounds[1:]).tolist()[1:] == [len(counts) for counts in reference.counts[2:]]
    for sentence in [*corpus(99, sentences=15, words="abcdefghi"), [*"aaaaaa"], []]:
        found = ask(model, sentence)
        for i, word in enumerate([*sentence, "</s>"]):
            word = word if word in [*reference.words, "</s>"] else "<unk>"
            before = tuple(w if w in reference.words else "<unk>" for w in sentence[:i])
            expected = reference.probability(word, ("<s>", *before))
            assert found[i] == pytest.approx(math.log(expected), abs=2e-5)


@pytest.mark.parametrize("order", [1, 3, 4])
def test_every_row_is_a_distribution_and_is_what_following_says(order: int) -> None:
    model = train_ngram(corpus(5), order)
    tables, node_N = NgramTables(model), contexts(model)
    rows_NV = tables.rows(node_N)
    assert rows_NV.exp().sum(1).tolist() == pytest.approx([1.0] * len(node_N), abs=1e-5)
    every_M = torch.arange(tables.vocab).repeat(len(node_N))
    logprob_M, _ = tables.follow(node_N.repeat_interleave(tables.vocab), every_M)
    assert torch.allclose(logprob_M.view_as(rows_NV), rows_NV, atol=1e-4)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_a_context_is_all_that_matters_of_what_was_read(order: int) -> None:
    """The context after a text is the one that its last words alone lead to, and it asks nothing of longer ones."""
    sentences = corpus(6, sentences=200)
    model = train_ngram(sentences, order)
    tables, ids = NgramTables(model), {symbol: i for i, symbol in enumerate(model.symbols)}
    for sentence in sentences[:20]:
        words = [ids[word] for word in sentence]
        for end in range(order, len(words)):
            after = [torch.tensor([0]), torch.tensor([0])]
            for word in words[:end]:
                after[0] = tables.follow(after[0], torch.tensor([word]))[1]
            for word in words[end - order + 1 : end]:
                after[1] = tables.follow(after[1], torch.tensor([word]))[1]
            assert after[0].tolist() == after[1].tolist()
    assert int(contexts(model).max()) < model.bounds[-2]


def test_contexts_without_continuation_fall_to_shorter_ones() -> None:
    model = train_ngram([[*"abc"], [*"xbd"]], 3)
    tables, ids = NgramTables(model), {symbol: i for i, symbol in enumerate(model.symbols)}
    _, node_N = tables.follow(torch.tensor([0]), torch.tensor([ids["c"]]))
    _, end_N = tables.follow(node_N, torch.tensor([EOS]))
    assert end_N.tolist() == [0]  # nothing ever followed an end


def test_counting_by_table_and_by_sorting_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    first = train_ngram(corpus(7), 4)
    monkeypatch.setattr(ngram_train, "SMALL", 0)
    second = train_ngram(corpus(7), 4)
    for a, b in zip(first[2:], second[2:], strict=True):
        assert (a == b).all()


def test_discounts() -> None:
    counts = np.array([1] * 10 + [2] * 5 + [3] * 3 + [4] * 2 + [9] * 4 + [0] * 7)
    y = 10 / 20
    assert discounts(counts).tolist() == pytest.approx([0, 1 - 2 * y * 5 / 10, 2 - 3 * y * 3 / 5, 3 - 4 * y * 2 / 3])
    assert discounts(np.array([1, 2, 7])).tolist() == [0, 0.5, 1, 1.5]  # no 3
    assert discounts(np.array([1] * 10 + [2] + [3] * 20 + [4] * 50)).tolist() == [0, 0.5, 1, 1.5]  # one below 0


def test_an_unknown_word_has_the_share_of_the_uniform_distribution() -> None:
    sentences = corpus(8)
    model = train_ngram(sentences, 3)
    assert ask(model, ["zebra"])[0] == pytest.approx(
        math.log(Reference(sentences, 3).probability("<unk>", ("<s>",))), abs=1e-5
    )
    assert all(math.isfinite(found) for found in ask(model, ["zebra", "a", "lion"]))


def test_seen_text_is_likelier_with_every_order() -> None:
    sentences = corpus(9, sentences=300)
    totals = [
        sum(sum(ask(train_ngram(sentences, order), sentence)) for sentence in sentences[:30]) for order in (1, 2, 3)
    ]
    assert totals == sorted(totals) and totals[0] < totals[2] - 20


@pytest.mark.parametrize(
    "sentences, text",
    [
        ([], "`sentences` must hold at least one sentence, got none"),
        ([["a", "</s>", "b"]], "`sentences` must not hold <s> or </s>"),
        ([["a", "<s>", "b"]], "`sentences` must not hold <s> or </s>"),
        ([["a", "</s>", "<s>", "<s>", "</s>"]], "`sentences` must not hold <s> or </s>"),
    ],
)
def test_text_that_cannot_be_counted_is_refused(sentences: list[list[str]], text: str) -> None:
    with pytest.raises(InputError, match=text):
        train_ngram(sentences, 2)


@pytest.mark.parametrize("sentences", [[["a"]], [["a"], ["b"], ["a"]], [[]], [["a", "b"], []]])
def test_an_order_beyond_the_longest_sentence_is_lowered_to_it(sentences: list[list[str]]) -> None:
    longest = max(map(len, sentences)) + 2
    model, expected = train_ngram(sentences, longest + 3), train_ngram(sentences, longest)
    assert model.order == longest and model.bounds == expected.bounds and model.symbols == expected.symbols
    assert (model.logprob_G == expected.logprob_G).all() and (model.backoff_G == expected.backoff_G).all()
    rows_NV = NgramTables(model).rows(torch.arange(model.bounds[1]))
    assert rows_NV.exp().sum(1).tolist() == pytest.approx([1.0] * len(rows_NV))


def test_an_order_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="`order` must be at least 1, got 0"):
        train_ngram([["a"]], 0)


# Files


def written(model: Ngram, path: Path) -> Path:
    with path.open("wb") as file:
        (write_arpa if path.suffix == ".arpa" else write_ngram)(model, file)
    return path


@pytest.mark.parametrize("order", [1, 3])
def test_a_file_holds_the_model(order: int, tmp_path: Path) -> None:
    model = train_ngram([[*"a b"], [*"äß ", "\u3000"], *corpus(10)], order)
    again = load_ngram(written(model, tmp_path / "a.ngram"))
    assert again[:2] == model[:2]
    for mine, theirs in zip(model[2:], again[2:], strict=True):
        assert mine.dtype == theirs.dtype and (mine == theirs).all()
    assert ask(again, [*"ab a"]) == ask(model, [*"ab a"])


def test_a_file_is_mapped_and_never_changed(tmp_path: Path) -> None:
    path = written(train_ngram(corpus(11), 3), tmp_path / "a.ngram")
    before, model = path.read_bytes(), load_ngram(path)
    assert isinstance(model.key_E.base, np.memmap) or isinstance(model.key_E, np.memmap)
    model.logprob_G[:] = 0
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [20, 300, -4])
def test_a_file_cut_short_is_named(cut: int, tmp_path: Path) -> None:
    path = written(train_ngram(corpus(12), 3), tmp_path / "a.ngram")
    path.write_bytes(path.read_bytes()[: cut if cut > 0 else cut * 64])
    with pytest.raises(InputError, match=r"a.ngram: must be a whole n-gram model, got one that is cut short"):
        load_ngram(path)


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a dog\n")
    with pytest.raises(
        InputError, match=r"a.txt: must end in \\end\\, got a file that is cut short or is no ARPA file"
    ):
        load_ngram(tmp_path / "a.txt")


@pytest.mark.parametrize("order", [1, 2, 4])
def test_arpa_holds_the_model(order: int, tmp_path: Path) -> None:
    model = train_ngram([[*"a b"], [*"äß ", "\u3000", "\u00a0"], *corpus(13)], order)
    path = written(model, tmp_path / "a.arpa")
    with gzip.open(tmp_path / "b.arpa.gz", "wb") as file:
        file.write(path.read_bytes())
    for again in load_ngram(path), load_ngram(tmp_path / "b.arpa.gz"):
        assert again[:2] == model[:2]
        for name in ("key_E", "suffix_G", "context_G"):
            assert (getattr(again, name) == getattr(model, name)).all()
        assert np.abs(again.logprob_G - model.logprob_G).max() < 1e-5
        assert np.abs(again.backoff_G - model.backoff_G).max() < 1e-5


THEIRS = """made by hand
\\data\\
ngram 1=5
ngram 2=3
ngram 3=2

\\1-grams:
-1.0\t<UNK>
-99\t<s>\t-0.5
-0.7 a -0.25
-0.6\tb\t-0.125
-0.9\t</s>

\\2-grams:
-0.3\t<s> a\t-0.2
-0.2\tb a\t-0.1
-0.4\ta b

\\3-grams:
-0.1\t<s> a b
-0.05\ta b a

\\end\\
"""


def test_backing_off_by_hand(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text(THEIRS)
    model = load_arpa(tmp_path / "a.arpa")
    expected = [
        -0.3,  # <s> a
        -0.1,  # <s> a b
        -0.05,  # a b a
        -0.1 - 0.25 - 0.7,  # b a, then a, back off to the second a
        -0.25 - 1.0,  # a a is no context; a backs off to <unk>
        -0.9,
    ]  # nothing follows <unk>
    assert ask(model, ["a", "b", "a", "a", "x"]) == pytest.approx([x * math.log(10) for x in expected], abs=1e-5)


def test_a_back_off_of_the_longest_is_of_no_use(tmp_path: Path) -> None:
    found = []
    for end in "", "\t-0.7":
        (tmp_path / "a.arpa").write_text(THEIRS.replace("<s> a b", f"<s> a b{end}"))
        found.append(ask(load_arpa(tmp_path / "a.arpa"), ["a", "b", "a", "x"]))
    assert found[0] == found[1]


def test_pruned_beginnings_are_put_in(tmp_path: Path) -> None:
    """`b c a` without `b c`: its end is asked for through b alone, and the n-gram itself is there."""
    text = THEIRS.replace("1=5", "1=6").replace("-0.9\t</s>", "-0.9\t</s>\n-0.8\tc\t-0.35").replace("3=2", "3=3")
    (tmp_path / "a.arpa").write_text(text.replace("-0.05\ta b a", "-0.05\ta b a\n-0.01\tb c a"))
    model = load_arpa(tmp_path / "a.arpa")
    assert ask(model, ["b", "c", "a"])[1:3] == pytest.approx([math.log(10) * x for x in (-0.925, -0.01)], abs=1e-5)
    assert (np.diff(model.bounds[1:]) == [6, 4, 3]).all()


def test_what_arpa_lacks_is_put_in(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_text("\\data\\\nngram 1=1\n\n\\1-grams:\n-0.5\ta\n\n\\end\\\n")
    model = load_arpa(tmp_path / "a.arpa")
    assert model.symbols == ("<unk>", "<s>", "</s>", "a")
    assert ask(model, ["a", "x"]) == pytest.approx([-0.5 * math.log(10), -100 * math.log(10), -99 * math.log(10)])


@pytest.mark.parametrize(
    "old, new, text",
    [
        ("-0.7 a -0.25", "-0.7x a -0.25", r"a.arpa, line 10: must be a number, got '-0.7x'"),
        ("-0.7 a -0.25", "-0.7 a x", r"a.arpa, line 10: must be a number, got 'x'"),
        ("-0.4\ta b", "-0.4\ta", r"a.arpa, line 17: must be a log-probability, 2 words and at most one back-off"),
        ("-0.4\ta b", "-0.4\ta z", r"a.arpa, line 17: words must be among the 1-grams, got 'z'"),
        ("-0.4\ta b", "-0.4\tb a", r"a.arpa: n-grams must be different, got `b a` twice"),
        ("-0.4\ta b\n", "", r"a.arpa, line 18: must follow the 3 2-grams that the head counts, got 2"),
        ("ngram 3=2\n", "", r"must be the head of the 3-grams or the end, got '\\\\3-grams:'"),
        ("ngram 1=5", "ngram 1=five", r"a.arpa, line 3: must be a number, got 'five'"),
        ("\\end\\", "", r"a.arpa: must end in \\end\\, got a file that is cut short or is no ARPA file"),
        ("\\3-grams:", "\\4-grams:", r"must be the head of the 3-grams or the end, got '\\\\4-grams:'"),
        ("\\3-grams:\n-0.1\t<s> a b\n-0.05\ta b a\n", "", r"must be the head of the 3-grams or the end, got '\\\\end"),
    ],
)
def test_a_bad_arpa_file_is_named(old: str, new: str, text: str, tmp_path: Path) -> None:
    assert old in THEIRS
    (tmp_path / "a.arpa").write_text(THEIRS.replace(old, new))
    with pytest.raises(InputError, match=text):
        load_arpa(tmp_path / "a.arpa")


def test_arpa_in_other_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.arpa").write_bytes(THEIRS.encode().replace(b"-0.7 a", b"-0.7 \xff"))
    with pytest.raises(InputError, match=r"a.arpa, line 10: must be UTF-8; convert the file to UTF-8"):
        load_arpa(tmp_path / "a.arpa")


def perplexity(logprobs: list[float]) -> float:
    return math.exp(-sum(logprobs) / len(logprobs))


@pytest.mark.parametrize("order", [2, 4])
def test_probabilities_are_those_of_kenlm(order: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kenlm = pytest.importorskip("kenlm")
    path = written(train_ngram(corpus(14, sentences=300), order), tmp_path / "a.arpa")
    theirs, mine, model = kenlm.Model(str(path)), [], load_ngram(path)
    texts = corpus(15, sentences=60, words="abcdefghij")
    for sentence in texts:
        scores = [score * math.log(10) for score, *_ in theirs.full_scores(" ".join(sentence))]
        mine.append(ask(model, sentence))
        assert mine[-1] == pytest.approx(scores, abs=1e-4)
    total = sum(theirs.score(" ".join(sentence)) for sentence in texts) * math.log(10)
    flat = list(itertools.chain.from_iterable(mine))
    assert perplexity(flat) == pytest.approx(math.exp(-total / len(flat)), rel=1e-5)


def test_a_model_writes_to_any_file() -> None:
    model, memory = train_ngram(corpus(16), 2), io.BytesIO()
    write_arpa(model, memory)
    assert memory.getvalue().startswith(b"\\data\\\nngram 1=11\n") and memory.getvalue().endswith(b"\\end\\\n")
