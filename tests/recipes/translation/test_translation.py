"""The translation recipe end to end, as a person types it and as Python uses it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import seqkit
from seqkit.cli import main
from seqkit.data.batch import PaddedSequence, pad
from seqkit.data.manifest import Item, read_manifest
from seqkit.data.vocab import UNK, WordVocab
from seqkit.errors import InputError
from seqkit.recipe import preset
from seqkit.recipes.common.search_options import SearchOptions
from seqkit.recipes.translation.data import TextConfig, Vocabs, train_data, train_vocabs
from seqkit.recipes.translation.model import Network, TranslationPredictor, Translator, make_model
from seqkit.recipes.translation.recipe import RECIPE

SIZES = {"embed_dim": 16, "encoder_dim": 16, "decoder_dim": 32, "attention_dim": 16, "readout_dim": 16}
SMALL = ["--preset", "tiny", "--epochs", "1", *(word for name in SIZES for word in (f"--{name}", str(SIZES[name])))]


def command(*words: object) -> int:
    return main(["translation", *(str(word) for word in words)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from seqkit.data_prep.synthetic.corpora import make

    folder = tmp_path_factory.mktemp("corpus")
    make("translation", folder / "data", items=300)
    return folder / "data"


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert command("train", "--data", corpus, "--out", folder, *SMALL) == 0
    return folder


def test_a_run_is_trained_evaluated_and_used(run, corpus, capsys, tmp_path):
    assert {path.name for path in run.iterdir()} >= {"config.yaml", "log.jsonl", "tensorboard", "best", "last"}
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "test", "--beam", 2) == 0
    folder = run / "evaluate/test_beam=2"
    report = json.loads((folder / "report.json").read_text())
    assert set(report["metrics"]) == {"bleu", "chrf", "ter"} and report["decode"]["beam"] == 2
    assert sum(group["bleu"]["counts"]["items"] for group in report["by"]["length"].values()) == report["items"]
    lines = (folder / "hypotheses.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [item.id for item in read_manifest(corpus / "test.jsonl")]
    assert capsys.readouterr().out.splitlines()[-1] == str(folder / "report.html")
    source = read_manifest(corpus / "test.jsonl")[0].source
    assert command("predict", "--run", run, source, "--json", "--nbest", 2, "--plots", tmp_path / "plots") == 0
    answer = json.loads(capsys.readouterr().out)
    scores = [prediction["score"] for prediction in answer["predictions"]]
    assert answer["input"] == source and len(scores) == 2 and scores == sorted(scores, reverse=True)
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["0001.png"]


def test_what_a_report_says_is_what_predict_says(run, corpus, capsys):
    assert command("evaluate", "--run", run, "--data", corpus, "--split", "val") == 0
    capsys.readouterr()
    items = read_manifest(corpus / "val.jsonl")
    assert command("predict", "--run", run, *(item.source for item in items)) == 0
    said = capsys.readouterr().out.splitlines()
    lines = [json.loads(line) for line in (run / "evaluate/val/hypotheses.jsonl").read_text().splitlines()]
    assert said == [line["hypothesis"] for line in lines]
    found = seqkit.load(run).predict([item.source for item in items])
    assert [best.text for best, *_ in found] == said
    assert [best.logprob for best, *_ in found] == pytest.approx([line["logprob"] for line in lines], abs=1e-4)


def test_a_finished_run_says_so_and_a_missing_one_starts(run, corpus, capsys):
    before = (run / "best/model.safetensors").read_bytes()
    assert command("train", "--data", corpus, "--out", run, "--resume") == 0
    assert "already finished" in capsys.readouterr().err and (run / "best/model.safetensors").read_bytes() == before
    assert command("train", "--data", corpus, "--out", run, *SMALL) == 2
    assert "--resume" in capsys.readouterr().err


def test_init_starts_from_another_runs_weights_and_lists_what_did_not_fit(run, corpus, tmp_path, capsys):
    more = [*SMALL, "--attention_dim", "8", "--steps", "1"]
    assert command("train", "--data", corpus, "--out", tmp_path / "next", "--init", run, *more) == 0
    said = capsys.readouterr().err
    assert "other shape: " in said and "decoder.attentions.0.query.weight" in said
    assert "decoder.cells.layers.0.weight_ih_l0" not in said


def test_an_ensemble_of_a_run_with_itself_is_the_run(run, corpus, capsys):
    sources = [item.source for item in read_manifest(corpus / "test.jsonl")]
    alone, both = (seqkit.load(runs).predict(sources, nbest=2) for runs in (run, [run, run]))
    assert [[found.text for found in own] for own in both] == [[found.text for found in own] for own in alone]
    for mine, theirs in zip(sum(both, []), sum(alone, []), strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
    assert command("predict", "--run", run, "--run", run, *sources) == 0
    assert capsys.readouterr().out.splitlines() == [best.text for best, *_ in alone]


def test_an_ensemble_has_one_vocabulary(run, corpus, tmp_path, capsys):
    other = tmp_path / "other"
    assert command("train", "--data", corpus, "--out", other, *SMALL, "--steps", 1, "--vocab_size", 200) == 0
    capsys.readouterr()
    assert command("predict", "--run", run, "--run", other, "a") == 2
    line = f"error: an ensemble must have one vocabulary, got {other}, which has another than the first run\n"
    assert capsys.readouterr().err == line


def test_two_processes_train_what_one_does_with_twice_the_batch(corpus, tmp_path):
    flags = [*SMALL, "--dropout", "0", "--steps", "4", "--log_every", "1"]
    root = Path(__file__).parents[3]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*torchrun, "recipes/translation", "train", "--data", corpus, "--out", tmp_path / "two", *flags],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert command("train", "--data", corpus, "--out", tmp_path / "one", "--grad_accumulation", 2, *flags) == 0
    two, one = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("two", "one"))
    assert two.keys() == one.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        [
            "--attention",
            "null",
            "--wiring",
            "luong",
            "--init_hidden",
            "copy",
            "--bidirectional",
            "false",
            "--reverse_source",
            "true",
            "--encoder_dim",
            "32",
            "--readout",
            "linear",
            "--tie_embeddings",
            "false",
        ],
        [
            "--cell",
            "gru",
            "--wiring",
            "bahdanau",
            "--init_hidden",
            "backward",
            "--readout",
            "maxout",
            "--units",
            "words",
            "--joint_vocab",
            "false",
            "--initializer",
            "bahdanau",
            "--optimizer",
            "adadelta",
            "--learning_rate",
            "1",
        ],
        [
            "--attention",
            "location",
            "--scheduled_sampling",
            "0.5",
            "--scheduled_sampling_end",
            "3",
            "--decoder_layers",
            "2",
            "--init_hidden",
            "last",
        ],
        [
            "--merge_dropout",
            "0.1",
            "--attention",
            "multi_head",
            "--heads",
            "4",
            "--variational",
            "true",
            "--init_hidden",
            "null",
        ],
    ],
)
def test_every_wiring_trains_and_translates(change, corpus, tmp_path):
    assert command("train", "--data", corpus, "--out", tmp_path / "run", *SMALL, *change) == 0
    assert command("evaluate", "--run", tmp_path / "run", "--data", corpus, "--split", "val", "--beam", 2) == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--data", "{data}", "--attention", "dot", "--decoder_dim", "8"), "`query_dim` must be the memory's width 32"),
        (("--data", "{data}", "--units", "words", "--merge_dropout", "0.1"), "`merge_dropout` must be 0 for words"),
        (("--data", "{data}", "--max_sentence", "1"), "training pairs must have 1 to 1 tokens a side, got none of 300"),
        (("--data", "{empty}"), "train.jsonl"),
    ],
)
def test_mistakes_get_one_line(words, line, corpus, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = [word.format(data=corpus, empty=tmp_path / "empty") for word in words]
    assert command("train", "--out", tmp_path / "run", *SMALL, *words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and line in error


def test_an_item_without_a_source_is_named(tmp_path, capsys):
    (tmp_path / "train.jsonl").write_text('{"id": "a", "references": ["b"]}\n')
    assert command("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL) == 2
    assert 'train.jsonl, line 1, id "a": `source` must be given, got none' in capsys.readouterr().err


def word_predictor(**search: int) -> TranslationPredictor:
    torch.manual_seed(0)
    vocabs = Vocabs(WordVocab(["a", "dog"]), WordVocab(["ein", "Hund"]))
    network = Network(embed_dim=8, encoder_dim=8, decoder_dim=8, attention_dim=8, readout_dim=8)
    model = Translator(network, len(vocabs.source), len(vocabs.target), shared=False)
    return TranslationPredictor((model.eval(),), vocabs, SearchOptions(**search))


def test_an_unknown_word_becomes_the_source_word_attended_to_most():
    predictor = word_predictor()
    weights_TS, words = predictor.attention([4, UNK], "a quokka dog")
    assert weights_TS.shape == (3, 3)
    assert predictor.tokens([4, UNK], "a quokka dog") == ["ein", words[int(weights_TS[1].argmax())]]
    assert predictor.tokens([4, UNK], "") == ["ein", "⁇"]


def test_a_translation_does_not_depend_on_its_neighbors():
    sources = ["dog a dog a", "a", "", "a dog", "dog"]
    together = word_predictor(decode_batch_size=2).predict(sources)
    for source, (found, *_) in zip(sources, together, strict=True):
        ((alone, *_),) = word_predictor().predict([source])
        assert (alone.text, alone.tokens) == (found.text, found.tokens)
        assert alone.logprob == pytest.approx(found.logprob, abs=1e-5)


def test_nothing_is_translated_into_nothing(run, capsys, tmp_path):
    """A line that is empty stays one, so that output keeps step with input; it is not put to the model."""
    assert command("predict", "--run", run, "", "the dog", " ", "--plots", tmp_path) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == third == "" and second
    assert [path.name for path in tmp_path.iterdir()] == ["0002.png"]


@pytest.mark.parametrize("flag", ["--beam", "--decode_batch_size"])
def test_a_search_of_nothing_is_refused(run, flag, capsys):
    assert command("predict", "--run", run, "a", flag, 0) == 2
    assert f"`{flag[2:]}` must be at least 1, got 0" in capsys.readouterr().err


def test_merge_dropout_splits_anew_each_epoch_and_the_same_each_time(corpus):
    items = read_manifest(corpus / "train.jsonl")
    text = TextConfig(vocab_size=200, merge_dropout=0.3)
    data = train_data(text, train_vocabs(text, items), items, seed=1)
    batches = data.epoch(0)[:2]
    first, again, later = (list(data.load(batches, epoch)) for epoch in (0, 0, 1))
    assert all(torch.equal(a.inputs_BT, b.inputs_BT) for a, b in zip(first, again, strict=True))
    assert not all(
        a.inputs_BT.shape == b.inputs_BT.shape and torch.equal(a.inputs_BT, b.inputs_BT)
        for a, b in zip(first, later, strict=True)
    )


def test_long_pairs_are_left_out_and_counted(capsys):
    vocab = WordVocab(["a", "b"])
    items = [Item(id=str(n), source="a " * n, references=("b",)) for n in (0, 1, 2, 9)]
    data = train_data(TextConfig(units="words", max_sentence=3), Vocabs(vocab, vocab), items, seed=0)
    assert sorted(number for batch in data.epoch(0) for number in batch) == [1, 2]
    assert "2 training pairs, 2 left out" in capsys.readouterr().err


def test_characters_that_are_too_rare_for_the_vocabulary_are_told(capsys):
    characters = [chr(0x4E00 + n) for n in range(300)]
    items = [Item(id=str(n), source="ab c", references=("".join(characters[: 300 - n]),)) for n in range(0, 300, 10)]
    assert len(train_vocabs(TextConfig(vocab_size=120), items).target) <= 120
    said = capsys.readouterr().err
    assert "217 characters are too rare for 120 subwords and unknown:" in said and "`vocab_size` keeps them" in said


def test_the_papers_sizes_are_the_papers():
    sutskever, bahdanau = preset(RECIPE, "sutskever"), preset(RECIPE, "bahdanau")
    with torch.device("meta"):
        deep = Translator(sutskever.network, 160000, 80000, shared=False)
        search = Translator(bahdanau.network, 30000, 30000, shared=False)
    recurrent = sum(p.numel() for p in [*deep.encoder.encoder.parameters(), *deep.decoder.cells.parameters()])
    assert recurrent == 2 * 4 * (4 * 1000 * (1000 + 1000) + 2 * 4 * 1000)  # 64 M, as section 3.4 says, and biases
    assert search.encoder.encoder.output_dim == 2000 and search.decoder.readout.hidden.out_features == 1000
    with pytest.raises(InputError, match="`init_hidden` must not be copy"):
        make_model(Network(init_hidden="copy"), Vocabs(WordVocab(["a"]), WordVocab(["b"])))


def test_first_state_starts_from_the_summary():
    (model,) = word_predictor().models
    one, other = (PaddedSequence(*pad([ids])) for ids in ([4, 5], [5, 5]))
    states = [model.decoder.initial_state(model.make_memory(stream)).h_BLH for stream in (one, other)]
    assert not torch.allclose(*states)
