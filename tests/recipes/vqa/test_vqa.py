"""The question answering recipe end to end, as a person types it, and its objectives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seqkit.cli import main
from seqkit.compare import flags
from seqkit.data.manifest import Item
from seqkit.data.vocab import WordVocab
from seqkit.errors import InputError
from seqkit.recipe import preset
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, make_image_encoder, pixel_reader
from seqkit.recipes.common.image_text import parse_pairs
from seqkit.recipes.common.text_encoder import TextEncoderConfig
from seqkit.recipes.vqa import recipe as vqa
from seqkit.recipes.vqa.data import (
    Answers,
    TextConfig,
    load_answers,
    question_type,
    read_questions,
    train_answers,
    train_data,
    train_vocab,
)
from seqkit.recipes.vqa.model import Network, VQAModel
from seqkit.recipes.vqa.predictor import AnswerPredictor, Member
from seqkit.score.vqa import consensus, soft_scores
from seqkit.train import checkpoint

SMALL = [
    "--preset",
    "tiny",
    "--steps",
    "4",
    "--embed_dim",
    "8",
    "--text_dim",
    "8",
    "--attention_dim",
    "8",
    "--fused_dim",
    "32",
    "--image_size",
    "32",
    "--backbone",
    "small_cnn",
    "--weights",
    "random",
    "--output_stage",
    "null",
    "--unfreeze_from",
    "conv1",
]


def command(*words: object) -> int:
    return main(["vqa", *map(str, words)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares of one color: the question of the color, and one whose answer is always the same."""
    folder, colors = tmp_path_factory.mktemp("colors"), {"red": (220, 20, 20), "blue": (20, 20, 220)}
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        lines = []
        for number in range(count):
            name, color = list(colors.items())[number % 2]
            Image.new("RGB", (40, 32), color).save(folder / f"{split}{number}.png")
            for place, (question, answers) in enumerate(
                (
                    ("What color is it?", [name] * 2 + ["green"]),
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
    assert command("train", "--data", corpus, "--out", reader, *SMALL, "--fusion", "null") == 0
    words = ("evaluate", "--run", run, "--data", corpus, "--split", "test", "--name", "test")
    assert command(*words, "--question_only_run", reader) == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert list(report["metrics"]) == ["vqa_accuracy", "accuracy"] and report["items"] == 18
    assert set(report["by"]["baseline"]) == {"majority", "question_type", "question_only"}
    assert set(report["by"]["answers"]) == {"list", "single"} and "yes/no" in report["by"]["answer_type"]
    assert report["by"]["baseline"]["question_type"]["accuracy"]["value"] == pytest.approx(100 * 5 / 6)
    page = (run / "evaluate/test/report.html").read_text()
    assert "What color is it?" in page and page.count("data:image/jpeg") == 18
    capsys.readouterr()
    plots = tmp_path / "plots"
    asked = (corpus / "test0.png", "what color is it", corpus / "test1.png", "which dog is it?")
    assert command("predict", "--run", run, *asked, "--json", "--nbest", 3, "--plots", plots) == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert "not in any training question: which, dog" in said.err
    scores = [answer["score"] for answer in answers[0]["predictions"]]
    assert len(answers) == 2 and len(scores) == 3 and scores == sorted(scores, reverse=True) and sum(scores) < 1 + 1e-6
    assert sorted(path.name for path in plots.iterdir()) == ["0001.png", "0002.png"]


def test_from_the_cache_as_from_pixels(corpus, tmp_path, capsys):
    frozen = ["--unfreeze_from", "null", "--backbone", "resnet18"]
    run = tmp_path / "run"
    assert command("train", "--data", corpus, "--out", run, *SMALL, *frozen) == 0
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    items = read_questions(corpus, "val")
    asked = [part for item in items for part in (item.image, item.question)]
    capsys.readouterr()
    assert command("predict", "--run", run, *asked) == 0
    lines = (run / "evaluate/val/hypotheses.jsonl").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [json.loads(line)["hypothesis"] for line in lines]


@pytest.mark.parametrize("variant", vqa.VARIANTS)
def test_every_variant_trains(variant, corpus, tmp_path):
    fields = flags(vqa.VARIANTS[variant])
    assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, *fields, "--steps", 1) == 0


@pytest.mark.parametrize("targets", ["sampled", "soft", "frequent"])
def test_colors_are_learned_from_any_targets(targets, corpus, tmp_path):
    run = tmp_path / "run"
    more = [
        "--targets",
        targets,
        "--steps",
        90,
        "--learning_rate",
        1e-2,
        "--unfreeze_lr",
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


def test_variants_are_compared_and_an_interrupted_comparison_goes_on(corpus, tmp_path, capsys, monkeypatch):
    out = tmp_path / "variants"
    words = ("compare", "--data", corpus, "--out", out, "--variants", "question,mcb", "--split", "test", *SMALL)
    assert command(*words) == 0
    said = capsys.readouterr()
    variants = json.loads((out / "compare_test.json").read_text())["variants"]
    assert [variant["variant"] for variant in variants] == ["question", "mcb"] and not variants[0]["differences"]
    assert set(variants[1]["differences"]["accuracy"]) == {"value", "low", "high", "p_value", "p_holm"}
    assert variants[1]["steps"] == 4 and "difference" in said.out
    assert command(*words) == 0
    assert capsys.readouterr().err.count("already finished") == 2
    assert command("compare", "--data", corpus, "--out", out, "--variants", "question,magic", *SMALL) == 2
    assert "`--variants` must be among question, sum," in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert command(*words) == 2
    assert "`compare` must run as one process" in capsys.readouterr().err


def test_an_image_encoder_may_be_another_runs(run):
    encoder = make_image_encoder(ImageEncoderConfig(backbone="small_cnn", weights=str(run), image_size=32))
    weights = checkpoint.read_weights(run / "best")
    assert all(torch.equal(own, weights[f"image_encoder.{name}"]) for name, own in encoder.state_dict().items())
    with pytest.raises(InputError, match="must hold the weights of this image_encoder"):
        make_image_encoder(ImageEncoderConfig(backbone="resnet18", weights=str(run)))


def vqa_model(**changes: object) -> VQAModel:
    torch.manual_seed(1)
    config = ImageEncoderConfig(backbone="small_cnn", weights="random", image_size=32, unfreeze_from="conv1")
    text_encoder = TextEncoderConfig(embed_dim=8, text_dim=8)
    network = Network(**({"fused_dim": 32, "attention_dim": 8} | changes))
    return VQAModel(network, text_encoder, make_image_encoder(config), 20, 5).eval()


def test_an_answer_does_not_depend_on_its_company():
    model = vqa_model().double()  # a signed square root makes much of rounding
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    tokens, lengths = torch.randint(4, 20, (3, 6)), torch.tensor([6, 2, 4])
    together, weights = model((pixels,), tokens, lengths)
    alone, weighed = model((pixels[1:2],), tokens[1:2, :2], lengths[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-5)  # sums in another order
    torch.testing.assert_close(weights[1:2], weighed)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2).double())


@pytest.mark.parametrize("center", [True, False])
def test_what_all_cells_share_is_not_looked_at(center):
    model = vqa_model(center=center).double()  # a signed square root makes much of rounding
    tokens, lengths = torch.randint(4, 20, (2, 6)), torch.tensor([6, 2])
    grid = torch.rand(2, 16, model.image_encoder.dim).double()
    seen, moved = (
        (values.mean(1), values) for values in (grid, grid + torch.rand(2, 1, model.image_encoder.dim).double())
    )
    for one, other in zip(model(seen, tokens, lengths), model(moved, tokens, lengths), strict=True):
        assert torch.allclose(one, other, atol=1e-5) == center


def test_cells_that_are_all_alike_are_not_known_by_their_rounding_errors():
    model, tokens, lengths = vqa_model(center=True), torch.randint(4, 20, (1, 6)), torch.tensor([6])
    grid = (torch.rand(1, 1, model.image_encoder.dim) + 1).repeat(1, 49, 1)
    seen, moved = (model((cells.mean(1), cells), tokens, lengths) for cells in (grid, grid * 1.00001))
    torch.testing.assert_close(seen, moved, rtol=1e-3, atol=1e-4)


def test_soft_targets_are_the_consensus():
    """Four people say the first class, one the second: 1 and 1/3."""
    loss = vqa.answer_loss(lambda seen, *question: (torch.tensor([[0.3, -0.2, 0.7]]), None), "soft")
    text, vocab = TextConfig(targets="soft"), WordVocab(["what"])
    item = Item(id="a", image=Path("a.png"), question="what", references=("x", "x", "y", "x", "x", "unheard"))
    data = train_data(text, vocab, Answers(("x", "y", "z"), {"": "x"}, 1), [item], lambda paths: (), 1)
    (batch,) = data.load(data.epoch(0), 0)
    total, count = loss(batch, 0)
    logits, wanted = torch.tensor([0.3, -0.2, 0.7]), torch.tensor([1.0, 1 / 3, 0.0])
    want = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    torch.testing.assert_close(total, want)
    assert count == 1


def test_answers_that_the_consensus_takes_for_one_are_one_class(tmp_path):
    people = ("2", "2", "2", "2", "two", "two", "Two.", "2.", "two", "3")
    item = Item(id="a", image=Path("a.png"), question="how many", references=people)
    answers = train_answers(TextConfig(), [item])
    assert answers.texts == ("2", "3") and answers.type_prior(item) == "2"
    assert answers.class_ids([item]) == [[0] * 9 + [1]]
    ((classes, scores),) = answers.soft_targets([item])
    learned = {answers.texts[number]: score for number, score in zip(classes, scores, strict=True)}
    assert learned == soft_scores(people) == {"2": 1.0, "3": 1 / 3}
    best = max(learned, key=lambda text: learned[text])
    assert consensus(people, best) == max(consensus(people, text) for text in (*people, "4")) == 1.0


def test_a_class_is_written_as_most_people_wrote_it():
    items = [Item(id=str(n), image=Path("a.png"), question="q", references=("pen, book",)) for n in range(2)]
    items.append(Item(id="2", image=Path("a.png"), question="q", references=("the pen  book",)))
    answers = train_answers(TextConfig(), items)
    assert answers.texts == ("pen, book",) and answers.class_ids(items) == [[0], [0], [0]]


def test_the_most_frequent_class_is_the_target_whatever_is_written_first():
    item = Item(id="a", image=Path("a.png"), question="what", references=("3", "two", "2", "Two."))
    answers, vocab = Answers(("3", "2"), {"": "2"}, 1), WordVocab(["what"])
    data = train_data(TextConfig(), vocab, answers, [item], lambda paths: (), 1)
    (batch,) = data.load(data.epoch(0), 0)
    assert batch.targets_BT[0, 0] == 1


@pytest.mark.parametrize("targets", ["soft", "frequent"])
def test_an_ensemble_averages_probabilities(targets, tmp_path):
    Image.new("RGB", (40, 32), (220, 20, 20)).save(tmp_path / "a.png")
    vocab, answers = WordVocab([f"w{n}" for n in range(16)]), Answers(tuple("abcde"), {"": "a"}, 1)
    members = []
    for network in ({"fused_dim": 32}, {"fused_dim": 16, "fusion": "sum"}, {"fusion": "mlb", "attention": None}):
        model = vqa_model(**network)
        text = TextConfig(targets=targets)
        members.append(Member(model, pixel_reader(model.image_encoder), ImageEncoderConfig(), text))
    question = (tmp_path / "a.png", "w1 w2 w3")
    shares = []
    for chosen in ((member,) for member in members):
        (found,) = AnswerPredictor(chosen, vocab, answers, 4).predict([question], nbest=5)
        shares.append({one.text: one.probability for one in found})
    (found,) = AnswerPredictor(tuple(members), vocab, answers, 4).predict([question], nbest=5)
    means = {text: sum(own[text] for own in shares) / 3 for text in answers.texts}
    assert [one.text for one in found] == sorted(means, key=lambda text: -means[text])
    assert [one.probability for one in found] == pytest.approx(sorted(means.values(), reverse=True), rel=1e-5)
    assert all(one.score == one.probability == pytest.approx(np.exp(one.logprob)) for one in found)


def test_runs_of_other_answers_or_words_are_no_ensemble(run, corpus, tmp_path, capsys):
    for change, message in ((["--answers", 2], "one set of answers"), (["--min_count", 13], "one vocabulary")):
        other = tmp_path / message.replace(" ", "_")
        assert command("train", "--data", corpus, "--out", other, *SMALL, *change) == 0
        assert command("evaluate", "--run", run, other, "--data", corpus, "--split", "val") == 2
        assert f"an ensemble must have {message}, got {other}" in capsys.readouterr().err
    assert command("evaluate", "--run", run, run, "--data", corpus, "--split", "val") == 0


def test_options_of_evaluate_are_no_fields_of_train(corpus, tmp_path, capsys):
    for flag in ("--question_only_run", "--wordnet", "--vqa_script"):
        assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, flag, "/no/such") == 2
        assert f"`{flag}` must be a flag of seqkit vqa train" in capsys.readouterr().err


def test_vocabulary_and_answers_are_those_of_the_first_run(run, corpus, tmp_path):
    for split in ("train", "val"):
        lines = [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text().splitlines()]
        changed = [
            line | {"image": str(corpus / line["image"]), "question": f"or {line['question']}"} for line in lines
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in changed[::2]))
    second = tmp_path / "second"
    assert command("train", "--data", tmp_path, "--out", second, "--init", run, *SMALL, "--answers", 1) == 0
    for name in ("answers.json", "words.txt"):
        files = [list((folder / "best").glob(name.split(".")[0] + "*")) for folder in (run, second)]
        assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]] != []


def test_a_sampled_answer_is_drawn_anew_each_epoch_in_the_shares_of_the_people():
    items = [Item(id=str(n), image=Path("a.png"), question="what", references=("x", "y", "y", "y")) for n in range(200)]
    answers = Answers(("x", "y"), {"": "y"}, 1)
    data = train_data(TextConfig(targets="sampled"), WordVocab(["what"]), answers, items, lambda paths: (), 1)

    def drawn(epoch: int) -> list[int]:
        batches = data.load(data.epoch(epoch), epoch)
        found = {n: int(t) for batch in batches for n, t in zip(batch.indices, batch.targets_BT[:, 0], strict=True)}
        return [found[n] for n in range(200)]

    assert drawn(0) == drawn(0) != drawn(1) and 0.65 < np.mean(drawn(0)) < 0.85


def test_classes_are_the_frequent_answers_and_priors_the_most_frequent_of_a_type(tmp_path):
    def item(number: int, question: str, *answers: str, **extra: str) -> Item:
        return Item(id=str(number), image=Path("a.png"), question=question, references=answers, extra=extra)

    items = [
        item(0, "What is it?", "Dog"),
        item(1, "what is that ?", "dog"),
        item(2, "how many are there", "2", "3"),
        item(3, "how many", "2"),
        item(4, "odd", "cat", question_type="strange"),
    ]
    answers = train_answers(TextConfig(answers=3), items)
    assert answers.texts == ("2", "dog", "3") and answers.max_question == 4
    assert [question_type(i) for i in items] == ["what is", "what is", "how many", "how many", "strange"]
    assert answers.type_prior(item(9, "How many?", "9")) == "2" and answers.type_prior(item(9, "who", "9")) == "2"
    assert answers.class_ids([items[2], items[4]]) == [[0, 2], []]
    answers.save(tmp_path)
    assert load_answers(tmp_path) == answers
    with pytest.raises(InputError, match="training questions must have at least one answer among the classes, got"):
        train_data(TextConfig(), train_vocab(TextConfig(), items), answers, items[4:], lambda paths: (), 1)


def test_a_run_keeps_the_word_vectors_that_it_was_trained_with(tmp_path, corpus):
    run, path = tmp_path / "run", tmp_path / "vectors.txt"
    path.write_text("is 1 2.5\nwhat -1 0\n")
    assert command("train", "--data", corpus, "--out", run, *SMALL, "--glove", path) == 0
    path.unlink()
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0


def test_mistakes_get_one_line(run, corpus, tmp_path, capsys):
    image = corpus / "test0.png"
    (tmp_path / "train.jsonl").write_text('{"id": "a", "image": "a.png", "question": "??", "references": ["x"]}\n')
    (tmp_path / "val.jsonl").write_text('{"id": "a", "image": "a.png", "references": ["x"]}\n')
    wrong = [
        (("predict", "--run", run, "what color is it", image), "an image and then a text about it, got 'what col"),
        (("predict", "--run", run, image), "images and texts in turn, got 1 in all"),
        (("predict", "--run", run, image, " ? "), "test0.png must have at least one word, got ' ? '"),
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
    pooled = tmp_path / "pooled"
    assert command("train", "--data", corpus, "--out", pooled, *SMALL, "--attention", "null") == 0
    assert command("predict", "--run", pooled, image, "what", "--plots", tmp_path / "p") == 2
    assert "plots need a model with glimpses, got a run whose `attention` or `fusion`" in capsys.readouterr().err


def test_pairs_may_be_lines_with_a_tab(corpus):
    image = corpus / "test0.png"
    assert parse_pairs([f"{image}\twhat is it"]) == parse_pairs([str(image), "what is it"]) == [(image, "what is it")]


def test_the_papers_sizes_are_the_papers():
    paper = preset(vqa.RECIPE, "paper")
    network, text, encoder = paper.network, paper.text, paper.image_encoder
    assert (network.fused_dim, network.glimpses, network.normalize) == (16000, 2, "l2")
    assert (text.answers, text.max_question, text.targets) == (3000, 15, "sampled")
    assert (paper.text_encoder.text_dim, paper.text_encoder.text_layers) == (1024, 2)
    assert (paper.training.learning_rate, paper.training.ema_decay, paper.training.max_grad_norm) == (7e-4, 0, 0)
    assert (encoder.backbone, encoder.image_size) == ("resnet152", 448)
