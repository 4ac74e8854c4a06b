"""The captioning recipe end to end, as a person types it, and the equations of its two objectives."""

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from seqkit.cli import main
from seqkit.data.batch import Example, collate
from seqkit.data.manifest import Item
from seqkit.data.vocab import WordVocab
from seqkit.errors import InputError
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.recipe import preset
from seqkit.recipes.captioning import recipe as captioning
from seqkit.recipes.captioning.data import Examples, TextConfig, read_captions, train_data, train_vocab
from seqkit.recipes.captioning.model import Captioner, Network
from seqkit.recipes.captioning.predictor import CaptionPredictor, Member
from seqkit.recipes.captioning.recipe import Objective, cider_reward, likelihood, self_critical
from seqkit.recipes.common.image_encoder import ImageEncoderConfig, feature_reader, make_image_encoder, pixel_reader
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.score import meteor
from seqkit.score.evaluate import METRICS, corpus_scores, statistics
from seqkit.score.language import join_characters

SMALL = [
    "--preset",
    "tiny",
    "--epochs",
    "1",
    "--backbone",
    "resnet18",
    "--weights",
    "random",
    "--image_size",
    "32",
    "--output_stage",
    "layer2",
    "--embed_dim",
    "12",
    "--decoder_dim",
    "16",
    "--attention_dim",
    "8",
    "--proj_dim",
    "8",
    "--readout_dim",
    "12",
]


def command(*words: object) -> int:
    return main(["captioning", *map(str, words)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.data_prep.synthetic.corpora import make

    folder = tmp_path_factory.mktemp("scenes")
    make("captioning", folder / "data", items=40)
    return folder / "data"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setattr(meteor, "installed", lambda: False)  # Java takes seconds to start
        yield folder


@pytest.fixture(scope="module")
def run(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert command("train", "--data", corpus, "--out", folder, *SMALL) == 0
    return folder


def images_of(corpus: Path, split: str = "test") -> list[Path]:
    return [item.image for item in read_captions(corpus, split)]


def test_a_run_is_trained_evaluated_and_used(run, corpus, capsys, tmp_path):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test", "--beam", 2) == 0
    report = json.loads((run / "evaluate/test_beam=2/report.json").read_text())
    assert list(report["metrics"]) == ["cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "bleu"]
    assert "tok:ptb" in report["metrics"]["bleu4"]["signature"] and "tok:13a" in report["metrics"]["bleu"]["signature"]
    assert {"novel", "distinct_words", "mean_length", "beam"} <= set(report["decode"])
    assert (run / "evaluate/test_beam=2/report.html").read_text().count("data:image/jpeg") == report["items"]
    capsys.readouterr()
    path = images_of(corpus)[0]
    plots = tmp_path / "plots"
    assert command("predict", "--run", run, path, "--json", "--nbest", 2, "--plots", plots) == 0
    answer = json.loads(capsys.readouterr().out)
    scores = [prediction["score"] for prediction in answer["predictions"]]
    assert [plot.name for plot in plots.iterdir()] == ["0001.png"]
    assert answer["input"] == str(path) and len(scores) == 2 and scores == sorted(scores, reverse=True)


def test_meteor_is_reported_where_it_is_installed(run, corpus, monkeypatch):
    monkeypatch.setitem(METRICS, "meteor", METRICS["cider"])
    monkeypatch.setattr(meteor, "installed", lambda: True)
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    assert "meteor" in json.loads((run / "evaluate/val/report.json").read_text())["metrics"]


def test_what_a_report_says_from_the_cache_is_what_predict_says_from_pixels(run, corpus, capsys):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val", "--beam", 1) == 0
    capsys.readouterr()
    assert command("predict", "--run", run, *images_of(corpus, "val"), "--beam", 1) == 0
    lines = (run / "evaluate/val_beam=1/hypotheses.jsonl").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [json.loads(line)["hypothesis"] for line in lines]


@pytest.mark.parametrize(
    "change",
    [
        ["--attention", "null", "--readout", "linear", "--tie_embeddings", "false", "--initializer", "uniform"],
        ["--wiring", "luong_input_feeding", "--gate", "false", "--proj_dim", "null", "--coverage", "1"],
        [
            "--wiring",
            "luong",
            "--scheduled_sampling",
            "0.5",
            "--scheduled_sampling_end",
            "1",
            "--cell",
            "gru",
            "--decoder_layers",
            "2",
        ],
    ],
)
def test_every_wiring_trains_and_captions(change, corpus, tmp_path):
    assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, *change) == 0
    assert command("evaluate", "--run", tmp_path / "run", "--data", corpus, "--split", "val") == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "change",
    [
        ["--reward", "cider", "--learning_rate", "1e-4"],
        ["--unfreeze_from", "layer2", "--unfreeze_lr", "1e-3", "--workers", "1"],
    ],
)
def test_a_second_stage_begins_with_the_weights_and_words_of_the_first(change, run, corpus, tmp_path, capsys):
    second = tmp_path / "second"
    assert command("train", "--data", corpus, "--out", second, "--init", run, *SMALL, *change, "--steps", 2) == 0
    said = capsys.readouterr().err
    assert " 0 left as they were" in said and "not in the file" not in said
    assert command("evaluate", "--run", second, "--data", corpus, "--split", "val", "--name", "two") == 0
    assert command("evaluate", "--run", second, run, "--data", corpus, "--split", "val") == 0
    weights = [captioning.checkpoint.read_weights(folder / "best") for folder in (run, second)]
    changed = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert any(name.startswith("decoder.") for name in changed)
    stages = {name.split(".")[2] for name in changed if name.startswith("image_encoder.")}
    assert stages == ({"layer2"} if "--unfreeze_from" in change else set())


def test_mistakes_get_one_line(run, corpus, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "train.jsonl").write_text('{"id": "a", "image": "bad.jpg", "references": ["a dog"]}\n')
    (tmp_path / "val.jsonl").write_text('{"id": "b", "references": ["a dog"]}\n')
    wrong = [
        (("predict", "--run", run, tmp_path / "bad.jpg"), "bad.jpg"),
        (("predict", "--run", run, tmp_path / "none.png"), "none.png"),
        (("predict", "--run", run, images_of(corpus)[0], "--beam", 0), "`beam` must be at least 1, got 0"),
        (("train", "--data", tmp_path, "--out", tmp_path / "r", *SMALL), 'val.jsonl, line 1, id "b": `image`'),
        (("train", "--data", corpus, "--out", tmp_path / "s", *SMALL, "--unfreeze_from", "layer9"), "layer9"),
        (("train", "--data", corpus, "--out", tmp_path / "t", *SMALL, "--max_caption", 1), "captions must have 1 to 1"),
        (("train", "--data", corpus, "--out", tmp_path / "v", *SMALL, "--label_smoothing", 1.5), "below 1, got 1.5"),
        (("train", "--data", corpus, "--out", tmp_path / "w", *SMALL, "--embed_dim", -3), "`embed_dim` must be at"),
        (
            (
                "train",
                "--data",
                corpus,
                "--out",
                tmp_path / "u",
                *SMALL,
                "--init",
                run,
                "--min_count",
                1,
                "--resume",
                "--attention",
                "dot",
            ),
            "sizes of the network must fit each other: `query_dim` must be",
        ),
    ]
    for words, line in wrong:
        assert command(*words) == 2, words
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and line in error, error


def captioner(**changes: object) -> tuple[Captioner, WordVocab]:
    torch.manual_seed(0)
    vocab = WordVocab(["a", "dog", "runs", "cat"])
    sizes = {"embed_dim": 8, "decoder_dim": 12, "attention_dim": 6, "proj_dim": 8, "readout_dim": 8, "dropout": 0.0}
    encoder = make_image_encoder(ImageEncoderConfig(backbone="resnet18", weights="random", image_size=64))
    return Captioner(Network(**(sizes | changes)), encoder, len(vocab)), vocab


def predictor_of(model: Captioner, vocab: WordVocab, **search: int) -> CaptionPredictor:
    member = Member(model.eval(), pixel_reader(model.image_encoder), ImageEncoderConfig())
    return CaptionPredictor((member,), vocab, SearchOptions(**search))


def saved(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.effect_noise((40 + n, 50), 90.0).convert("RGB").save(path)
    return paths


def test_a_caption_does_not_depend_on_its_neighbors_nor_on_the_cache(tmp_path):
    model, vocab = captioner()
    images = saved(tmp_path, 5)
    together = predictor_of(model, vocab, decode_batch_size=2, max_len=6).predict(images)
    single = predictor_of(model, vocab, max_len=6)
    config = ImageEncoderConfig(cache=tmp_path / "cache")
    cached = feature_reader(config, model.image_encoder, images)
    for image, (found, *_) in zip(images, together, strict=True):
        for reader in (single.members[0].reader, cached):
            member = single.members[0]._replace(reader=reader)
            ((alone, *_),) = replace(single, members=(member,)).predict([image])
            assert (alone.text, alone.cut) == (found.text, found.cut)
            assert alone.logprob == pytest.approx(found.logprob, abs=2e-3)


def test_attention_is_a_distribution_over_the_image_for_every_word(tmp_path):
    model, vocab = captioner()
    (image,) = saved(tmp_path, 1)
    steps = predictor_of(model, vocab).attention(image, [4, 5])
    assert [word for word, _ in steps] == ["a", "dog"]
    assert all(weights.shape == (2, 2) and weights.sum() == pytest.approx(1) for _, weights in steps)
    predictor = predictor_of(captioner(attention=None)[0], vocab, max_len=3)
    assert predictor.attention(image, [4, 5]) == []
    with pytest.raises(InputError, match="plots need a model with attention, got a run whose `attention` is null"):
        predictor.plot(image, predictor.predict([image])[0], tmp_path / "plot.png")


def test_an_ensemble_of_one_model_twice_is_the_model(tmp_path):
    model, vocab = captioner()
    images, one = saved(tmp_path, 3), predictor_of(model, vocab, max_len=6)
    two = replace(one, members=one.members * 2)
    for (a, *_), (b, *_) in zip(one.predict(images), two.predict(images), strict=True):
        assert a.text == b.text and a.logprob == pytest.approx(b.logprob, abs=1e-5)


def test_one_bad_image_costs_no_other(run, corpus, tmp_path, capsys):
    good, whole = images_of(corpus)[:2], images_of(corpus)[2].read_bytes()
    bad = tmp_path / "bad.png"
    bad.write_bytes(whole[: len(whole) // 2])
    assert command("predict", "--run", run, good[0], bad, good[1], "--beam", 1) == 2
    said = capsys.readouterr()
    assert "bad.png" in said.err
    assert command("predict", "--run", run, *good, "--beam", 1) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert said.out.splitlines() == [first, "", second]


def batch_of(model: Captioner, vocab: WordVocab, folder: Path):
    paths = saved(folder, 2)
    items = [Item(id=str(n), image=path, references=("a dog runs", "a cat")) for n, path in enumerate(paths)]
    data = train_data(TextConfig(batch_budget=4), vocab, items, pixel_reader(model.image_encoder), seed=0)
    batch, *_ = data.load(data.epoch(0), 0)
    return batch, items


def test_the_likelihood_is_the_captions_and_what_was_not_looked_at(tmp_path):
    model, vocab = captioner()
    batch, _ = batch_of(model.eval(), vocab, tmp_path)
    plain, count = likelihood(model, Objective(label_smoothing=0.0))(batch, 0)
    covered, _ = likelihood(model, Objective(label_smoothing=0.0, coverage=0.7))(batch, 0)
    assert count == int(batch.lengths_B.sum())
    memories = model.make_memory(captioning.image_features(batch))
    logits_BTV = model.decoder(batch.inputs_BT, memories)
    want = cross_entropy(real_tokens(logits_BTV, batch.lengths_B), real_tokens(batch.targets_BT, batch.lengths_B))
    torch.testing.assert_close(plain, want)
    _, (weights_BTS,) = model.decoder.forward_features(batch.inputs_BT, memories)
    unseen = sum(
        (1 - sum(weights_BTS[b, t, s].item() for t in range(length))) ** 2
        for b, length in enumerate(batch.lengths_B.tolist())
        for s in range(weights_BTS.shape[2])
    )
    assert (covered - plain).item() == pytest.approx(0.7 * unseen, rel=1e-4)


def test_the_reward_is_cider_with_the_end_of_the_sentence_as_a_word():
    references = [["a dog runs", "the dog"], ["a cat", "a cat runs"], ["runs"]]
    said = [("a dog", True), ("a cat runs", True), ("dog", False)]
    reward = cider_reward(references)
    mean = sum(reward(n, text, ended) for n, (text, ended) in enumerate(said)) / 3
    with_end = [[f"{text} endofsentence" for text in texts] for texts in references]
    texts = [f"{text} endofsentence" if ended else text for text, ended in said]
    cider = corpus_scores(statistics(["cider"], with_end, texts, captioning.COCO))["cider"]
    assert 100 * mean == pytest.approx(cider)
    assert reward(0, "a dog runs", True) > reward(0, "a dog runs", False)


@pytest.mark.parametrize("samples", [1, 3])
def test_what_is_rewarded_is_learned(samples, tmp_path):
    model, vocab = captioner()
    batch, _ = batch_of(model, vocab, tmp_path)
    total, count = self_critical(model, lambda *_: 2.0, vocab, 4, samples)(batch, 0)
    assert total.item() / count == -2.0 and count == samples * len(batch.indices)  # the log shows the reward
    total.backward()  # nothing is better than anything
    assert all(not p.grad.any() for p in model.decoder.parameters() if p.grad is not None)
    loss = self_critical(model, lambda number, caption, ended: float(caption.split().count("cat")), vocab, 4, samples)
    optimizer = torch.optim.Adam(model.decoder.parameters(), 0.02)
    for step in range(60):
        total, count = loss(batch, step)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    found = predictor_of(model, vocab, max_len=4).predict(saved(tmp_path, 2))
    assert all(best.text.split().count("cat") >= 3 for best, *_ in found)


def test_a_reward_that_says_nothing_teaches_nothing():
    """The mean gradient of a constant reward less a baseline of 0 is only its noise, 1 / sqrt(draws) of its size."""
    draws, images = 150, 8
    model, vocab = captioner(dropout=0.5)
    features = torch.rand(images, 512), torch.rand(images, 4, 512)
    batch = collate([Example(n, (features[0][n], features[1][n]), []) for n in range(images)])
    calls = itertools.count()
    loss = self_critical(model.train(), lambda *_: float(next(calls) % (2 * images) < images), vocab, 6)
    gradients = []
    for step in range(draws):
        total, count = loss(batch, step)
        model.zero_grad()
        (total / count).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.decoder.parameters() if p.grad is not None]))
    size = torch.stack([gradient.norm() for gradient in gradients]).mean()
    assert torch.stack(gradients).mean(0).norm() < 1.3 * size / draws**0.5


def test_examples_reach_loader_processes_whatever_starts_them(tmp_path):
    model, _ = captioner()
    images = saved(tmp_path, 2)
    items = [Item(id=str(n), image=image, references=("a",)) for n, image in enumerate(images)]
    cached = feature_reader(ImageEncoderConfig(cache=tmp_path / "cache"), model.image_encoder, images)
    for reader in (pixel_reader(model.image_encoder), cached):
        examples = Examples(items, reader, [(1, [4]), (0, [4, 5])])
        one, other = examples(1, 0), pickle.loads(pickle.dumps(examples))(1, 0)
        assert one.target == other.target == [4, 5]
        assert all(torch.equal(a, b) for a, b in zip(one.streams, other.streams, strict=True))


def test_words_are_those_used_often_enough_without_case_or_punctuation():
    items = [Item(id=str(n), references=("A dog, running!", "A  DOG runs.")) for n in range(2)]
    vocab = train_vocab(TextConfig(min_count=4), items)
    assert [vocab.token(i) for i in range(4, len(vocab))] == ["a", "dog"]


def test_the_words_of_captions_without_spaces_are_characters(tmp_path):
    texts = ("一只狗在草地上奔跑。", "两个人在海边散步")
    items = [Item(id=str(n), image=image, references=texts) for n, image in enumerate(saved(tmp_path, 2))]
    vocab, (model, _) = train_vocab(TextConfig(min_count=2), items), captioner()
    assert len(vocab) - 4 == len(set("".join(texts)) - {"。"})
    data = train_data(TextConfig(), vocab, items, pixel_reader(model.image_encoder), seed=0)
    assert {int(n) for batch in data.load(data.epoch(0), 0) for n in batch.lengths_B} == {9 + 1, 8 + 1}
    said = vocab.decode(vocab.encode(" ".join(texts[1])))
    assert join_characters(said) == texts[1] and cider_reward([texts, ["狗"]])(0, said, True) > 1
    assert join_characters("a 狗 b, the c") == "a 狗 b, the c"


def test_the_papers_sizes_are_the_papers():
    paper, attend = (preset(captioning.RECIPE, name) for name in ("paper", "attend"))
    sizes = paper.network.embed_dim, paper.network.decoder_dim, paper.search.beam, paper.text.min_count
    assert sizes == (512, 512, 3, 5) and paper.search.length_penalty is None and not paper.network.tie_embeddings
    assert attend.network.proj_dim is None and attend.objective.coverage == 1.0 and attend.network.gate
    assert {preset.training.ema_decay for preset in (paper, attend)} == {0.0}
