"""The captioning recipe end to end, as a person types it, and the equations of its two objectives."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from seqkit.cli import run_recipe
from seqkit.data.manifest import Item
from seqkit.data.vocab import WordVocab
from seqkit.nn.losses import cross_entropy, real_tokens
from seqkit.recipes.captioning import recipe as captioning
from seqkit.recipes.captioning.data import Text, read_captions, train_data, train_words
from seqkit.recipes.captioning.model import Captioner, Network, System
from seqkit.recipes.captioning.recipe import Objective, cider_rewards, likelihood, self_critical
from seqkit.recipes.common.image_encoder import Eye, cached, direct, make_eye
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.score import meteor
from seqkit.score.evaluate import METRICS, corpus_scores, statistics

SMALL = [
    "--preset",
    "tiny",
    "--epochs",
    "1",
    "--backbone",
    "resnet18",
    "--weights",
    "random",
    "--pixels",
    "32",
    "--last_stage",
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
    return run_recipe(captioning.RECIPE, [str(word) for word in words])


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


def pictures_of(corpus: Path, split: str = "test") -> list[Path]:
    return [item.image for item in read_captions(corpus, split)]


def test_a_run_is_trained_evaluated_and_used(run, corpus, capsys, tmp_path):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test", "--beam", 2) == 0
    report = json.loads((run / "evaluate/test/report.json").read_text())
    assert list(report["metrics"]) == ["cider", "bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "bleu"]
    assert "tok:ptb" in report["metrics"]["bleu4"]["signature"] and "tok:13a" in report["metrics"]["bleu"]["signature"]
    assert {"novel", "distinct_words", "mean_length", "beam"} <= set(report["decode"])
    assert (run / "evaluate/test/report.html").read_text().count("data:image/jpeg") == report["items"]
    capsys.readouterr()
    path = pictures_of(corpus)[0]
    pictures = tmp_path / "pictures"
    assert command("predict", "--run", run, path, "--json", "--nbest", 2, "--pictures", pictures) == 0
    answer = json.loads(capsys.readouterr().out)
    scores = [hypothesis["score"] for hypothesis in answer["hypotheses"]]
    assert answer["input"] == str(path) and len(scores) == 2 and scores == sorted(scores, reverse=True)


def test_meteor_is_reported_where_it_is_installed(run, corpus, monkeypatch):
    monkeypatch.setitem(METRICS, "meteor", METRICS["cider"])
    monkeypatch.setattr(meteor, "installed", lambda: True)
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    assert "meteor" in json.loads((run / "evaluate/val/report.json").read_text())["metrics"]


def test_what_a_report_says_from_the_cache_is_what_predict_says_from_pixels(run, corpus, capsys):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val", "--beam", 1) == 0
    capsys.readouterr()
    assert command("predict", "--run", run, *pictures_of(corpus, "val"), "--beam", 1) == 0
    lines = (run / "evaluate/val/hypotheses.jsonl").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [json.loads(line)["hypothesis"] for line in lines]


@pytest.mark.parametrize(
    "change",
    [
        ["--attention", "null", "--readout", "linear", "--tie_embeddings", "false", "--initializer", "uniform"],
        ["--wiring", "luong_input_feeding", "--gate", "false", "--proj_dim", "null", "--coverage", "1"],
        ["--wiring", "luong", "--sampling", "0.5", "--sampling_end", "1", "--cell", "gru", "--decoder_layers", "2"],
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
        ["--finetune", "layer2", "--finetune_rate", "1e-3", "--workers", "1"],
    ],
)
def test_a_second_stage_begins_with_the_weights_and_words_of_the_first(change, run, corpus, tmp_path, capsys):
    second = tmp_path / "second"
    assert command("train", "--data", corpus, "--out", second, "--init", run, *SMALL, *change, "--steps", 2) == 0
    said = capsys.readouterr().err
    assert " 0 left as they were" in said and "not in the file" not in said
    assert command("evaluate", "--run", second, "--data", corpus, "--split", "val", "--ensemble", run) == 0
    weights = [captioning.checkpoint.read_weights(folder / "best") for folder in (run, second)]
    changed = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert any(name.startswith("decoder.") for name in changed)
    eye = {name.split(".")[2] for name in changed if name.startswith("eye.")}
    assert eye == ({"layer2"} if "--finetune" in change else set())


def test_mistakes_get_one_line(run, corpus, tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "train.jsonl").write_text('{"id": "a", "image": "bad.jpg", "references": ["a dog"]}\n')
    (tmp_path / "val.jsonl").write_text('{"id": "b", "references": ["a dog"]}\n')
    wrong = [
        (("predict", "--run", run, tmp_path / "bad.jpg"), "bad.jpg"),
        (("predict", "--run", run, tmp_path / "none.png"), "none.png"),
        (("predict", "--run", run, pictures_of(corpus)[0], "--beam", 0), "`beam` must be at least 1, got 0"),
        (("train", "--data", tmp_path, "--out", tmp_path / "r", *SMALL), 'val.jsonl, line 1, id "b": `image`'),
        (("train", "--data", corpus, "--out", tmp_path / "s", *SMALL, "--finetune", "layer9"), "layer9"),
        (("train", "--data", corpus, "--out", tmp_path / "t", *SMALL, "--max_caption", 1), "captions must have 1 to 1"),
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
            "attention",
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
    eye = make_eye(Eye(backbone="resnet18", weights="random", pixels=64))
    return Captioner(Network(**(sizes | changes)), eye, len(vocab)), vocab


def saved(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.png" for n in range(count)]
    for n, path in enumerate(paths):
        Image.effect_noise((40 + n, 50), 90.0).convert("RGB").save(path)
    return paths


def test_a_caption_does_not_depend_on_its_neighbours_nor_on_the_cache(tmp_path):
    model, vocab = captioner()
    paths = saved(tmp_path, 5)
    sights = direct(model.eye), cached(Eye(cache=tmp_path / "cache"), model.eye, paths)
    system = System((model.eval(),), (sights[0],), vocab)
    together = system.caption(paths, SearchOptions(batch=2, max_len=6))
    for path, (found, *_) in zip(paths, together, strict=True):
        for sight in sights:
            ((alone, *_),) = system._replace(sights=(sight,)).caption([path], SearchOptions(max_len=6))
            assert alone.text == found.text
            assert alone.hypothesis.logprob == pytest.approx(found.hypothesis.logprob, abs=2e-3)


def test_attention_is_a_distribution_over_the_picture_a_word(tmp_path):
    model, vocab = captioner()
    (path,) = saved(tmp_path, 1)
    system = System((model.eval(),), (direct(model.eye),), vocab)
    steps = system.attention(path, [4, 5])
    assert [word for word, _ in steps] == ["a", "dog"]
    assert all(weights.shape == (2, 2) and weights.sum() == pytest.approx(1) for _, weights in steps)
    blind, _ = captioner(attention=None)
    assert System((blind.eval(),), (direct(blind.eye),), vocab).attention(path, [4, 5]) == []


def batch_of(model: Captioner, vocab: WordVocab, folder: Path):
    paths = saved(folder, 2)
    items = [Item(id=str(n), image=path, references=("a dog runs", "a cat")) for n, path in enumerate(paths)]
    data = train_data(Text(batch_captions=4), vocab, items, direct(model.eye), seed=0)
    batch, *_ = data.load(data.epoch(0), 0)
    return batch, items


def test_the_likelihood_is_the_captions_and_what_was_not_looked_at(tmp_path):
    model, vocab = captioner()
    batch, _ = batch_of(model.eval(), vocab, tmp_path)
    plain, count = likelihood(model, Objective(smoothing=0.0))(batch, 0)
    covered, _ = likelihood(model, Objective(smoothing=0.0, coverage=0.7))(batch, 0)
    assert count == int(batch.lengths_B.sum())
    memories = model.make_memory(captioning.pictures(batch))
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


def test_rewards_are_cider():
    references = [["a dog runs", "the dog"], ["a cat", "a cat runs"], ["runs"]]
    said = ["a dog", "a cat runs", "dog"]
    rewards = cider_rewards(references)
    mean = sum(rewards(n, text) for n, text in enumerate(said)) / 3
    assert 100 * mean == pytest.approx(corpus_scores(statistics(["cider"], references, said, captioning.COCO))["cider"])


@pytest.mark.parametrize("samples", [1, 3])
def test_what_is_rewarded_is_learnt(samples, tmp_path):
    model, vocab = captioner()
    batch, _ = batch_of(model, vocab, tmp_path)
    total, _ = self_critical(model, lambda *_: 2.0, vocab, 4, samples)(batch, 0)
    assert total.item() == 0.0  # nothing is better than anything
    loss = self_critical(model, lambda _, caption: float(caption.split().count("cat")), vocab, 4, samples)
    optimizer = torch.optim.Adam(model.decoder.parameters(), 0.02)
    for step in range(60):
        total, count = loss(batch, step)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    found = System((model.eval(),), (direct(model.eye),), vocab).caption(saved(tmp_path, 2), SearchOptions(max_len=4))
    assert all(best.text.split().count("cat") >= 3 for best, *_ in found)


def test_words_are_those_used_often_enough_without_case_or_punctuation():
    items = [Item(id=str(n), references=("A dog, running!", "A  DOG runs.")) for n in range(2)]
    vocab = train_words(Text(min_count=4), items)
    assert [vocab.token(i) for i in range(4, len(vocab))] == ["a", "dog"]


def test_the_papers_sizes_are_the_papers():
    paper, attend = captioning.paper(), captioning.attend()
    sizes = paper.network.embed_dim, paper.network.decoder_dim, paper.search.beam, paper.text.min_count
    assert sizes == (512, 512, 3, 5)
    assert attend.network.proj_dim is None and attend.objective.coverage == 1.0 and attend.network.gate
