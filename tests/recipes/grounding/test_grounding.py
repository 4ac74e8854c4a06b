"""The grounding recipe end to end, as a person types it."""

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
from seqkit.recipes.common.text_encoder import TextEncoderConfig
from seqkit.recipes.grounding import recipe as grounding
from seqkit.recipes.grounding.data import Phrase, TextConfig, candidate_iou, candidate_recall, read_phrases, train_data
from seqkit.recipes.grounding.model import GroundingModel, Network
from seqkit.recipes.grounding.predictor import GroundingPredictor, Member

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
    "16",
    "--fused_dim",
    "64",
    "--image_size",
    "32",
]
LEFT, RIGHT, WRONG = [2, 4, 14, 28], [18, 4, 30, 28], [0, 0, 32, 3]


def command(*words: object) -> int:
    return main(["grounding", *map(str, words)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red and a blue square side by side, and candidates of which one misses both."""
    folder = tmp_path_factory.mktemp("squares")
    colors = {"red": (220, 20, 20), "blue": (20, 20, 220)}
    for split, count in (("train", 16), ("val", 6), ("test", 6)):
        lines = []
        for number in range(count):
            names = ["red", "blue"] if number % 2 else ["blue", "red"]
            pixels = np.full((32, 32, 3), 200, np.uint8)
            for name, (left, top, right, bottom) in zip(names, (LEFT, RIGHT), strict=True):
                pixels[top:bottom, left:right] = colors[name]
            Image.fromarray(pixels).save(folder / f"{split}{number}.png")
            for place, (name, box) in enumerate(zip(names, (LEFT, RIGHT), strict=True)):
                lines.append(
                    {
                        "id": f"{split}{number}-{place}",
                        "image": f"{split}{number}.png",
                        "source": f"the {name} one",
                        "boxes": [WRONG, LEFT, RIGHT][place:],
                        "references": [" ".join(map(str, box))],
                    }
                )
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    more = ["--steps", 80, "--learning_rate", 1e-2, "--unfreeze_lr", 3e-3, "--ema_decay", 0, "--validate_every", 80]
    assert command("train", "--data", corpus, "--out", folder, *SMALL, *more) == 0
    return folder


def test_a_run_is_trained_evaluated_and_used(run, corpus, capsys, tmp_path):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test") == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert report["metrics"]["iou_0.5"]["value"] == 100 and report["decode"]["candidate_recall"] == 100
    assert "the red one" in (run / "evaluate/test/report.html").read_text()
    capsys.readouterr()
    pairs = (corpus / "test0.png", "the red one", corpus / "test1.png", "the red one")
    plots = tmp_path / "plots"
    assert command("predict", "--run", run, *pairs, "--json", "--nbest", 3, "--plots", plots) == 0
    answers = [json.loads(line)["predictions"] for line in capsys.readouterr().out.splitlines()]
    assert [len(found) for found in answers] == [3, 3] and len(list(plots.iterdir())) == 2
    boxes = [list(map(float, found[0]["text"].split())) for found in answers]
    assert boxes == [found[0]["box"] for found in answers]
    assert all(len(box) == 4 and box[0] < box[2] <= 32 and box[1] < box[3] <= 32 for box in boxes)


def test_own_candidate_boxes_are_chosen_from(run, corpus, tmp_path, capsys):
    boxes = tmp_path / "boxes.jsonl"
    boxes.write_text(
        '{"image": "x/test0.png", "boxes": [[0, 0, 32, 3], [3, 4, 14, 28], [17, 4, 99, 28]]}\n'
        '{"image": "test1.png", "boxes": [[40, 40, 50, 50]]}\n'
    )
    pair = (corpus / "test0.png", "the blue one")
    assert command("predict", "--run", run, *pair, "--proposals", boxes, "--nbest", 9) == 0
    found = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert found[0] == "3 4 14 28" and set(found[1:]) == {"0 0 32 3", "17 4 32 28"}
    assert command("predict", "--run", run, corpus / "test1.png", "the blue one", "--proposals", boxes) == 2
    assert "`proposals` must have boxes within test1.png, got none; add a line for it" in capsys.readouterr().err
    boxes.write_text("".join(f'{{"image": "test{n}.png", "boxes": [[0, 0, 9, 9]]}}\n' for n in range(6)))
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test", "--proposals", boxes) == 0
    report = json.loads(next(run.glob("evaluate/test_proposals*/report.json")).read_text())
    assert report["metrics"]["iou_0.5"]["value"] == report["decode"]["candidate_recall"] == 0
    boxes.write_text('{"image": "test0.png", "boxes": [[9, 0, 5, 5]]}\n')
    assert command("predict", "--run", run, *pair, "--proposals", boxes) == 2
    assert "boxes.jsonl, line 1: boxes must be left, top, right, bottom, got one inside out" in capsys.readouterr().err


@pytest.mark.parametrize("variant", grounding.VARIANTS)
def test_every_variant_trains(variant, corpus, tmp_path):
    fields = flags(grounding.VARIANTS[variant])
    more = ["--steps", 1, "--spatial_features", "false", "--normalize", "null"]
    assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, *fields, *more) == 0


def test_a_second_stage_begins_with_the_first(run, corpus, tmp_path, capsys):
    assert command("train", "--data", corpus, "--out", tmp_path / "second", "--init", run, *SMALL) == 0
    assert " 0 left as they were" in capsys.readouterr().err


def grounding_model(**network: object) -> GroundingModel:
    torch.manual_seed(1)
    config = ImageEncoderConfig(backbone="small_cnn", weights="random", image_size=32, unfreeze_from="conv1")
    sizes = Network(**({"fused_dim": 64, "attention_dim": 8} | network))
    return GroundingModel(sizes, TextEncoderConfig(embed_dim=8, text_dim=8), make_image_encoder(config), 20).eval()


def test_an_ensemble_averages_probabilities(tmp_path):
    Image.effect_noise((40, 30), 90.0).convert("RGB").save(tmp_path / "a.png")
    vocab, boxes = WordVocab([f"w{n}" for n in range(16)]), [[0, 0, 20, 10], [5, 5, 40, 30], [3, 0, 9, 30]]
    phrases = [
        Phrase(tmp_path / "a.png", "w1 w2", boxes, (30, 40)),
        Phrase(tmp_path / "a.png", "w3", boxes[:2], (30, 40)),
    ]
    models = grounding_model(), grounding_model(fusion="sum")
    members = [Member(model, pixel_reader(model.image_encoder), ImageEncoderConfig()) for model in models]
    runs = [GroundingPredictor(own, vocab, 2).predict(phrases, nbest=3) for own in ((members[0],), (members[1],))]
    both = GroundingPredictor(tuple(members), vocab, 2).predict(phrases, nbest=3)
    for one, other, mean in zip(*runs, both, strict=True):
        first, second = ({found.text: found.probability for found in own} for own in (one, other))
        want = {text: (first[text] + second[text]) / 2 for text in first}
        assert {found.text: found.probability for found in mean} == pytest.approx(want, rel=1e-5)
        assert sum(want.values()) == pytest.approx(1)
        assert [found.text for found in mean] == sorted(want, key=lambda text: -want[text])


def test_one_bad_image_costs_no_other(run, corpus, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes((corpus / "test0.png").read_bytes()[:60])
    assert command("predict", "--run", run, corpus / "test0.png", "the red one", bad, "the red one") == 2
    said = capsys.readouterr()
    assert "bad.png" in said.err and len(said.out.splitlines()[0].split()) == 4


def test_scores_do_not_depend_on_company_or_padding():
    model = grounding_model()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    boxes = torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.3], [0.0, 0.0, 1.0, 1.0]]]).repeat(2, 1, 1)
    tokens, lengths, counts = torch.randint(4, 20, (2, 5)), torch.tensor([5, 2]), torch.tensor([3, 2])
    noisy = boxes.clone()
    noisy[1, 2] = 1e3
    together = model((pixels,), noisy, counts, tokens, lengths)
    alone = model((pixels[1:],), boxes[1:, :2], counts[1:], tokens[1:, :2], lengths[1:])
    torch.testing.assert_close(together[1:, :2], alone)
    assert together[1].softmax(-1)[2] == 0 and together[0].softmax(-1).min() > 0


@pytest.mark.parametrize("center", [True, False])
def test_what_all_cells_share_is_not_looked_at(center):
    torch.manual_seed(1)
    encoder = make_image_encoder(
        ImageEncoderConfig(backbone="small_cnn", weights="random", image_size=32, unfreeze_from="conv1")
    )
    network = Network(fused_dim=64, attention_dim=8, center=center)
    model = GroundingModel(network, TextEncoderConfig(embed_dim=8, text_dim=8), encoder, 20).eval().double()
    boxes = torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.3]]]).double()
    tokens, lengths, counts = torch.randint(4, 20, (1, 5)), torch.tensor([5]), torch.tensor([2])
    grid = torch.rand(1, 16, 128).double()
    one, other = (
        model((grid.mean(1), cells), boxes, counts, tokens, lengths)
        for cells in (grid, grid + torch.rand(1, 1, 128).double())
    )
    assert torch.allclose(one, other, atol=1e-5) == center


def test_the_whole_image_is_not_known_by_its_rounding_errors():
    """Its cells less their mean have a mean of zero, which is their rounding errors."""
    model = grounding_model(normalize="rms")
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.5, 0.6]]])
    tokens, lengths, counts = torch.randint(4, 20, (1, 5)), torch.tensor([5]), torch.tensor([2])
    grid = torch.rand(1, model.image_encoder.grid[0] * model.image_encoder.grid[1], model.image_encoder.dim) + 1
    one, other = (model((grid.mean(1), g), boxes, counts, tokens, lengths) for g in (grid, grid * 1.00001))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_the_target_is_the_candidate_that_fits_best(tmp_path):
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")

    truth = ("10 10 30 30", "60 0 90 9")

    def item(name: str, boxes: list[list[float]]) -> Item:
        return Item(id=name, image=tmp_path / "a.png", source="it", boxes=boxes, references=truth)

    items = [item("a", [[0, 0, 9, 9], [10, 10, 30, 28], [10, 10, 30, 29]]), item("b", [[0, 0, 9, 9]])]
    assert candidate_iou(items[0]).tolist() == pytest.approx([0, 0.9, 0.95]) and candidate_recall(items) == 50
    data = train_data(TextConfig(), WordVocab(["it"]), items, lambda paths: (), 1)
    (batch,) = data.load(data.epoch(0), 0)
    assert batch.indices == (0,) and batch.targets_BT[0, 0] == 2
    np.testing.assert_allclose(batch.streams[1].values[0, 1], [0.1, 0.2, 0.3, 0.56], rtol=1e-6)
    with pytest.raises(InputError, match=r"training phrases must have a candidate box of IoU 0.5 or more, got none"):
        train_data(TextConfig(), WordVocab(["it"]), items[1:], lambda paths: (), 1)
    assert Phrase(Path("a"), "it", [[0, 0, 100, 50]], (50, 100)).relative_boxes().tolist() == [[0, 0, 1, 1]]


def test_mistakes_get_one_line(run, corpus, tmp_path, capsys):
    one = {"id": "a", "image": "a.png", "source": "it", "boxes": [[0, 0, 1, 1]], "references": ["0 0 1 1"]}
    for change, message in (
        ({"source": " "}, "`source` must have at least one word, got ' '"),
        ({"references": ["0 0 1"]}, '`references` must be boxes as "left top right bottom", got'),
        ({"boxes": None}, "`boxes`"),
    ):
        line = {key: value for key, value in {**one, **change}.items() if value is not None}
        (tmp_path / "val.jsonl").write_text(json.dumps(line) + "\n")
        assert command("evaluate", "--run", run, "--data", tmp_path, "--split", "val") == 2
        assert message in capsys.readouterr().err
    with pytest.raises(InputError, match="no such manifest"):
        read_phrases(tmp_path, "none")
    assert command("predict", "--run", run, "the red one", corpus / "test0.png") == 2
    assert "an image and then a text about it" in capsys.readouterr().err


def test_the_papers_sizes_are_the_papers():
    paper = preset(grounding.RECIPE, "paper")
    network, training = paper.network, paper.training
    assert (network.fused_dim, network.normalize) == (2048, "l2")
    assert not network.spatial_features and not network.center
    assert (paper.text_encoder.text_dropout, training.ema_decay, training.warmup) == (0.3, 0, 0)
