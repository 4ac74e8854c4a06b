"""The question answering recipe end to end, as a person types it, and its objectives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seqkit.cli import run_recipe
from seqkit.data.manifest import Item
from seqkit.data.vocab import WordVocab
from seqkit.errors import InputError
from seqkit.recipes.common.image_encoder import Eye, make_eye
from seqkit.recipes.common.text_encoder import Language
from seqkit.recipes.vqa import recipe as vqa
from seqkit.recipes.vqa.data import (
    Answers,
    Text,
    load_answers,
    pairs,
    question_type,
    read_questions,
    read_vectors,
    train_answers,
    train_data,
    train_words,
)
from seqkit.recipes.vqa.model import Answerer, Network
from seqkit.train import checkpoint

SMALL = [
    "--preset",
    "tiny",
    "--steps",
    "4",
    "--embed_dim",
    "8",
    "--question_dim",
    "8",
    "--attention_dim",
    "8",
    "--fused_dim",
    "32",
    "--pixels",
    "32",
    "--backbone",
    "small_cnn",
    "--weights",
    "random",
    "--last_stage",
    "",
    "--finetune",
    "conv1",
]


def command(*words: object) -> int:
    return run_recipe(vqa.RECIPE, [str(word) for word in words])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares of one colour: the question of the colour, and one whose answer is always the same."""
    folder, colours = tmp_path_factory.mktemp("colours"), {"red": (220, 20, 20), "blue": (20, 20, 220)}
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        lines = []
        for number in range(count):
            name, colour = list(colours.items())[number % 2]
            Image.new("RGB", (40, 32), colour).save(folder / f"{split}{number}.png")
            for place, (question, answers) in enumerate(
                (
                    ("What colour is it?", [name] * 2 + ["green"]),
                    ("is it a square ?", ["yes"] * 3),
                    ("what is on the list", ["pen, book"]),
                )
            ):
                lines.append(
                    {
                        "id": f"{split}{number}-{place}",
                        "image": f"{split}{number}.png",
                        "question": question,
                        "references": answers,
                    }
                )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert command("train", "--data", corpus, "--out", folder, *SMALL) == 0
    return folder


def test_a_run_is_trained_evaluated_and_used(run, corpus, capsys, tmp_path):
    reader = tmp_path / "reader"
    assert command("train", "--data", corpus, "--out", reader, *SMALL, "--fusion", "question") == 0
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test", "--reader", reader) == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert list(report["metrics"]) == ["vqa_accuracy", "accuracy"] and report["items"] == 18
    assert set(report["by"]["floor"]) == {"majority", "question_type", "question_only"}
    assert set(report["by"]["answers"]) == {"list", "single"} and "yes/no" in report["by"]["answer_type"]
    assert report["by"]["floor"]["question_type"]["accuracy"]["value"] == pytest.approx(100 * 5 / 6)
    page = (run / "evaluate/test/report.html").read_text()
    assert "What colour is it?" in page and page.count("data:image/jpeg") == 18
    capsys.readouterr()
    pictures = tmp_path / "pictures"
    asked = (corpus / "test0.png", "what colour is it", corpus / "test1.png", "which dog is it?")
    assert command("predict", "--run", run, *asked, "--json", "--nbest", 3, "--pictures", pictures) == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert "not in any training question: which, dog" in said.err
    scores = [answer["score"] for answer in answers[0]["hypotheses"]]
    assert len(answers) == 2 and len(scores) == 3 and scores == sorted(scores, reverse=True) and sum(scores) < 1 + 1e-6
    assert sorted(path.name for path in pictures.iterdir()) == ["0001.png", "0002.png"]


def test_from_the_cache_as_from_pixels(corpus, tmp_path, capsys):
    frozen = ["--finetune", "", "--backbone", "resnet18"]
    run = tmp_path / "run"
    assert command("train", "--data", corpus, "--out", run, *SMALL, *frozen) == 0
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    items = read_questions(corpus, "val")
    asked = [part for item in items for part in (item.image, item.question)]
    capsys.readouterr()
    assert command("predict", "--run", run, *asked) == 0
    lines = (run / "evaluate/val/hypotheses.jsonl").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [json.loads(line)["hypothesis"] for line in lines]


@pytest.mark.parametrize("row", vqa.ROWS)
def test_every_row_trains(row, corpus, tmp_path):
    fields = [part for name, value in vqa.ROWS[row].items() for part in (f"--{name}", value)]
    assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, *fields, "--steps", 1) == 0


@pytest.mark.parametrize("targets", ["sampled", "soft", "frequent"])
def test_colours_are_learnt_from_any_targets(targets, corpus, tmp_path):
    run = tmp_path / "run"
    more = [
        "--targets",
        targets,
        "--steps",
        90,
        "--learning_rate",
        1e-2,
        "--finetune_rate",
        1e-2,
        "--ema_decay",
        0,
        "--validate_every",
        90,
    ]
    assert command("train", "--data", corpus, "--out", run, *SMALL, *more) == 0
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test") == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert report["metrics"]["accuracy"]["value"] == 100


def test_rows_are_compared_and_an_interrupted_comparison_goes_on(corpus, tmp_path, capsys, monkeypatch):
    out = tmp_path / "rows"
    words = ("compare", "--data", corpus, "--out", out, "--rows", "question,mcb", "--split", "test", *SMALL)
    assert command(*words) == 0
    said = capsys.readouterr()
    rows = json.loads((out / "compare_test.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["question", "mcb"] and not rows[0]["less_the_first"]
    assert set(rows[1]["less_the_first"]["accuracy"]) == {"value", "low", "high", "p_value"}
    assert rows[1]["steps"] == 4 and "less the first" in said.out
    assert command(*words) == 0
    assert capsys.readouterr().err.count("already finished") == 2
    assert command("compare", "--data", corpus, "--out", out, "--rows", "question,magic", *SMALL) == 2
    assert "`--rows` must be among question, sum," in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert command(*words) == 2
    assert "`compare` must run as one process" in capsys.readouterr().err


def test_an_eye_may_be_another_runs(run):
    eye = make_eye(Eye(backbone="small_cnn", weights=str(run), pixels=32))
    weights = checkpoint.read_weights(run / "best")
    assert all(torch.equal(own, weights[f"eye.{name}"]) for name, own in eye.state_dict().items())
    with pytest.raises(InputError, match="must hold the weights of this eye"):
        make_eye(Eye(backbone="resnet18", weights=str(run)))


def answerer(**changes: object) -> Answerer:
    torch.manual_seed(1)
    eye = make_eye(Eye(backbone="small_cnn", weights="random", pixels=32, finetune="conv1"))
    language = Language(embed_dim=8, question_dim=8)
    return Answerer(Network(fused_dim=32, attention_dim=8, **changes), language, eye, 20, 5).eval()


def test_an_answer_does_not_depend_on_its_company():
    model = answerer()
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    tokens, lengths = torch.randint(4, 20, (3, 6)), torch.tensor([6, 2, 4])
    together, weights = model((pixels,), tokens, lengths)
    alone, weighed = model((pixels[1:2],), tokens[1:2, :2], lengths[1:2])
    torch.testing.assert_close(together[1:2], alone)
    torch.testing.assert_close(weights[1:2], weighed)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2))


@pytest.mark.parametrize("centre", [True, False])
def test_what_all_cells_share_is_not_looked_at(centre):
    model = answerer(centre=centre).double()  # a signed square root makes much of rounding
    tokens, lengths = torch.randint(4, 20, (2, 6)), torch.tensor([6, 2])
    grid = torch.rand(2, 16, model.eye.dim).double()
    seen, moved = ((values.mean(1), values) for values in (grid, grid + torch.rand(2, 1, model.eye.dim).double()))
    for one, other in zip(model(seen, tokens, lengths), model(moved, tokens, lengths), strict=True):
        assert torch.allclose(one, other, atol=1e-5) == centre


def test_soft_targets_are_the_consensus():
    """Four people say the first class, one the second: 1 and 1/3."""
    loss = vqa.answer_loss(lambda seen, *question: (torch.tensor([[0.3, -0.2, 0.7]]), None), "soft")
    text, vocab = Text(targets="soft"), WordVocab(["what"])
    item = Item(id="a", image=Path("a.png"), question="what", references=("x", "x", "y", "x", "x", "unheard"))
    data = train_data(text, vocab, Answers(("x", "y", "z"), {"": "x"}, 1), [item], lambda paths: (), 1)
    (batch,) = data.load(data.epoch(0), 0)
    total, count = loss(batch, 0)
    logits, wanted = torch.tensor([0.3, -0.2, 0.7]), torch.tensor([1.0, 1 / 3, 0.0])
    want = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    torch.testing.assert_close(total, want)
    assert count == 1


def test_a_sampled_answer_is_drawn_anew_each_epoch_in_the_shares_of_the_people():
    items = [Item(id=str(n), image=Path("a.png"), question="what", references=("x", "y", "y", "y")) for n in range(200)]
    answers = Answers(("x", "y"), {"": "y"}, 1)
    data = train_data(Text(targets="sampled"), WordVocab(["what"]), answers, items, lambda paths: (), 1)

    def drawn(epoch: int) -> list[int]:
        batches = data.load(data.epoch(epoch), epoch)
        found = {n: int(t) for batch in batches for n, t in zip(batch.indices, batch.targets_BT[:, 0], strict=True)}
        return [found[n] for n in range(200)]

    assert drawn(0) == drawn(0) != drawn(1) and 0.65 < np.mean(drawn(0)) < 0.85


def test_classes_are_the_frequent_answers_and_floors_the_usual_ones(tmp_path):
    def item(number: int, question: str, *answers: str, **extra: str) -> Item:
        return Item(id=str(number), image=Path("a.png"), question=question, references=answers, extra=extra)

    items = [
        item(0, "What is it?", "Dog"),
        item(1, "what is that ?", "dog"),
        item(2, "how many are there", "2", "3"),
        item(3, "how many", "2"),
        item(4, "odd", "cat", question_type="strange"),
    ]
    answers = train_answers(Text(answers=3), items)
    assert answers.texts == ("2", "dog", "3") and answers.longest == 4
    assert [question_type(i) for i in items] == ["what is", "what is", "how many", "how many", "strange"]
    assert answers.usual(item(9, "How many?", "9")) == "2" and answers.usual(item(9, "who", "9")) == "2"
    assert answers.known([items[2], items[4]]) == [[0, 2], []]
    answers.save(tmp_path)
    assert load_answers(tmp_path) == answers
    with pytest.raises(InputError, match="training questions must have at least one answer among the classes, got"):
        train_data(Text(), train_words(Text(), items), answers, items[4:], lambda paths: (), 1)


def test_word_vectors_are_read_for_the_words_at_hand(tmp_path, corpus, capsys):
    vocab, path = WordVocab(["what", "is", "odd"]), tmp_path / "vectors.txt"
    path.write_text("is 1 2.5\nnever 3 4\nwhat -1 0\n")
    assert read_vectors(path, vocab).tolist() == [[0, 0]] * 4 + [[-1, 0], [1, 2.5], [0, 0]]
    run = tmp_path / "run"
    assert command("train", "--data", corpus, "--out", run, *SMALL, "--glove", path) == 0
    path.unlink()
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    for content, message in (
        ("is 1 2\nwhat 1\n", "line 2: must be a word and 2 numbers, got 1"),
        ("is one two\n", "line 1: must be a word and numbers, got 'one'"),
        ("is\n", "line 1: must be a word and its numbers, got 0"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=f"vectors.txt, {message}"):
            read_vectors(path, vocab)
    with pytest.raises(InputError, match="`glove` must be a file of word vectors, got .*none.txt, which is none"):
        read_vectors(tmp_path / "none.txt", vocab)


def test_mistakes_get_one_line(run, corpus, tmp_path, capsys):
    picture = corpus / "test0.png"
    (tmp_path / "train.jsonl").write_text('{"id": "a", "image": "a.png", "question": "??", "references": ["x"]}\n')
    (tmp_path / "val.jsonl").write_text('{"id": "a", "image": "a.png", "references": ["x"]}\n')
    wrong = [
        (("predict", "--run", run, "what colour is it", picture), "a picture and then a text about it, got 'what col"),
        (("predict", "--run", run, picture), "pictures and texts in turn, got 1 in all"),
        (("predict", "--run", run, picture, " ? "), "test0.png must have at least one word, got ' ? '"),
        (("predict", "--run", run, tmp_path / "none.png", "what"), "none.png: no such picture"),
        (("train", "--data", tmp_path, "--out", tmp_path / "r", *SMALL), 'id "a": `question` must have at least one w'),
        (("evaluate", "--run", run, "--data", tmp_path, "--split", "val"), 'line 1, id "a": `question`'),
        (("train", "--data", corpus, "--out", tmp_path / "s", *SMALL, "--answers", 0), "`answers` must be at least 1"),
        (("evaluate", "--run", run, "--data", corpus, "--split", "val", "--wordnet", tmp_path), str(tmp_path)),
        (
            ("train", "--data", corpus, "--out", tmp_path / "t", *SMALL, "--fusion_layers", 1),
            "`fused_dim` and `fusion_layers` must fit `fusion` compact: `layers` must be 0 for compact, got 1",
        ),
    ]
    for words, message in wrong:
        capsys.readouterr()
        assert command(*words) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
    blind = tmp_path / "blind"
    assert command("train", "--data", corpus, "--out", blind, *SMALL, "--attention", "none") == 0
    assert command("predict", "--run", blind, picture, "what", "--pictures", tmp_path / "p") == 2
    assert "`--pictures` must be given for a model with glimpses" in capsys.readouterr().err


def test_pairs_may_be_lines_with_a_tab(corpus):
    picture = corpus / "test0.png"
    assert pairs([f"{picture}\twhat is it"]) == pairs([str(picture), "what is it"]) == [(picture, "what is it")]


def test_the_papers_sizes_are_the_papers():
    paper = vqa.paper()
    assert (paper.network.fused_dim, paper.network.glimpses, paper.text.answers, paper.text.max_question) == (
        16000,
        2,
        3000,
        15,
    )
    assert (paper.language.question_dim, paper.language.question_layers, paper.training.learning_rate) == (
        1024,
        2,
        7e-4,
    )
    assert (paper.eye.backbone, paper.eye.pixels, paper.text.targets) == ("resnet152", 448, "sampled")
