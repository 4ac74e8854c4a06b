"""Readers of text and JSON: manifests, files that are scored, vocabularies, n-gram models, logs."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from random import Random

import numpy as np
import pyarrow
import pyarrow.parquet
import torch

from seqkit import draw
from seqkit.config import load_config, save_config
from seqkit.data.array_file import read_array
from seqkit.data.check import check
from seqkit.data.files import read_lines
from seqkit.data.manifest import Item, read_manifest, write_manifest
from seqkit.data.shard_writer import write_shards
from seqkit.data.stored_manifest import open_manifest
from seqkit.data.vocab import CharVocab, SubwordVocab, WordVocab, load_vocab
from seqkit.data_prep.common.outputs import write_stats
from seqkit.data_prep.grounding.proposals import read_proposals
from seqkit.data_prep.own.table_rows import read_rows
from seqkit.decode import NgramScorer, load_ngram, train_ngram, write_arpa, write_ngram
from seqkit.find_data import find_data
from seqkit.hub.card import read_reports
from seqkit.recipes.language_model.data import read_texts
from seqkit.recipes.vqa.word_vectors import read_vectors
from seqkit.score.evaluate import corpus_scores, statistics
from seqkit.score.metric import AS_IT_IS
from seqkit.score.read_texts import read_corpus
from seqkit.score.report_plots import learning_curve
from seqkit.score.wups import Dictionary
from seqkit.share import read_parts, run_part, shared
from seqkit.train.training_config import TrainingConfig
from tests.damage.mutations import mutate
from tests.damage.outcomes import Reader

ITEMS = [
    {"id": "a1", "source": "ein Haus", "references": ["a house", "one house"], "seconds": 1.5, "speaker": "s1"},
    {"id": "a2", "image": "a.jpg", "question": "what ?", "answers": ["yes"], "boxes": [[0, 0, 10.5, 20]]},
    {"id": "a3", "video": "v.mp4", "audio": "v.wav", "start": 0.5, "end": 2, "words": [["bin", 0.1, 0.25]]},
    {"id": "a4", "features": "f.npy", "rows": [2, 9], "references": ["c"], "extent": [288, 360]},
]
CPU = torch.device("cpu")
LINES = ["the cat sat on the mat .", "a dog ran 12.5 miles", "", "« où est-il ? »"]


def jsonl(*entries: object) -> bytes:
    return b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)


def plain(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode()


def within_gzip(content: bytes, rng: Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(content), rng), 1)


def within_packed(content: bytes, rng: Random) -> bytes:
    module = bz2 if content.startswith(b"BZh") else lzma
    return module.compress(mutate(module.decompress(content), rng))


def make_packed(folder: Path) -> None:
    write(folder, t__bz2=bz2.compress(plain(*LINES)), t__xz=lzma.compress(plain(*LINES), preset=0))


def write(folder: Path, **files: bytes) -> None:
    """Files by name, in which `__` stands for a point."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)


def make_manifest(folder: Path) -> None:
    write(folder, train__jsonl=jsonl(*ITEMS))


def make_checked(folder: Path) -> None:
    np.save(folder / "f.npy", np.zeros((12, 3), np.float32))
    texts = [{**item, **dict.fromkeys(("image", "video", "audio"))} for item in ITEMS]
    write(folder, train__jsonl=jsonl(*texts), val__jsonl=jsonl({"id": "b", "source": "x", "references": ["y"]}))


def make_scored(folder: Path) -> None:
    captions = [{"image_id": n, "caption": text} for n, text in enumerate(LINES, 1)]
    answers = [{"question_id": n, "answers": [{"answer": "yes"}, {"answer": "2"}]} for n in (1, 2)]
    write(
        folder,
        ref__txt=plain(*LINES),
        hyp__txt=plain(*LINES[::-1]),
        ref__kaldi=plain(*(f"utt{n} {text}" for n, text in enumerate(LINES))),
        ref__trn=plain(*(f"{text} (spk-{n})" for n, text in enumerate(LINES))),
        ref__jsonl=jsonl(*({"id": f"i{n}", "references": [text], "hypothesis": text} for n, text in enumerate(LINES))),
        captions__json=json.dumps({"info": {}, "images": [], "annotations": captions}).encode(),
        results__json=json.dumps(captions).encode(),
        answers__json=json.dumps({"annotations": answers}).encode(),
        given__json=json.dumps([{"question_id": n, "answer": "2"} for n in (1, 2)]).encode(),
    )
    (folder / "ref.txt.gz").write_bytes(gzip.compress(plain(*LINES)))


TABLES = ("t.csv", "t.tsv", "t.json", "t.jsonl", "t.parquet", "t.arrow")
SCORED = {
    "ref.txt": ("ref.txt", "hyp.txt"), "hyp.txt": ("ref.txt", "hyp.txt"), "ref.txt.gz": ("ref.txt.gz", "hyp.txt"),
    "ref.kaldi": ("ref.kaldi", "ref.kaldi"), "ref.trn": ("ref.trn", "ref.trn"), "ref.jsonl": ("ref.jsonl",) * 2,
    "captions.json": ("captions.json", "results.json"), "answers.json": ("answers.json", "given.json"),
    "results.json": ("captions.json", "results.json"), "given.json": ("answers.json", "given.json"),
}  # fmt: skip


def score(references: str, hypotheses: str, metrics: tuple[str, ...] = ("wer", "bleu")):
    def read(folder: Path) -> object:
        corpus = read_corpus([folder / references], [folder / hypotheses])
        found = statistics(metrics, corpus.references, corpus.systems[0], AS_IT_IS)
        return corpus_scores(found)

    return read


def make_wordnet(folder: Path) -> None:
    lines, index, place = [], [], 0
    for number, (word, above) in enumerate([("entity", None), ("thing", 0), ("cup", 1), ("plate", 1)]):
        place = sum(map(len, lines))
        upper = f"001 @ {sum(map(len, lines[:above])):08d} n 0000" if above is not None else "000"
        lines.append(f"{place:08d} 03 n 01 {word} 0 {upper} | a gloss {number}\n")
        index.append(f"{word} n 1 1 @ 1 0 {place:08d}\n")
    write(folder, index__noun="".join(index).encode(), data__noun="".join(lines).encode(), noun__exc=b"geese goose\n")


def read_wordnet(folder: Path) -> object:
    dictionary = Dictionary(folder)
    return [dictionary.word_similarity(a, b) for a in ("cup", "plates", "thing") for b in ("plate", "entity")]


def make_vocab(folder: Path) -> None:
    WordVocab.train(LINES).save(folder, "words")
    CharVocab.train(LINES).save(folder, "characters")


def read_vocab(folder: Path) -> object:
    return [load_vocab(folder, name).encode(LINES[0]) for name in ("words", "characters")]


def make_subwords(folder: Path) -> None:
    SubwordVocab.train(LINES * 3, 40).save(folder, "bpe")
    SubwordVocab.train(LINES * 3, 40, kind="unigram").save(folder, "unigram")


def read_subwords(name: str):
    def read(folder: Path) -> object:
        vocab = load_vocab(folder, name)
        ids = vocab.encode(LINES[1])
        sampled = vocab.encode(LINES[0], sample=0.2, rng=np.random.default_rng(0))  # type: ignore[call-arg]
        assert all(0 <= i < len(vocab) for i in (*ids, *sampled))
        return ids, sampled, vocab.decode(ids), vocab.tokens(LINES[3]), [vocab.token(i) for i in range(len(vocab))]

    return read


def trained():
    rows = [line.split() for line in LINES if line]
    return train_ngram(rows, 3)


def make_ngram(folder: Path) -> None:
    model = trained()
    for name, writer in (("m.ngram", write_ngram), ("m.arpa", write_arpa)):
        with (folder / name).open("wb") as file:
            writer(model, file)
    (folder / "m.arpa.gz").write_bytes(gzip.compress((folder / "m.arpa").read_bytes()))


def read_ngram(name: str):
    def read(folder: Path) -> object:
        model = load_ngram(folder / name)
        scorer = NgramScorer(model)
        state, rows = scorer.initial_state(1, CPU), []
        for symbol in ("<s>", "the", "cat", "zebra"):
            row_NV, state = scorer.step(
                torch.tensor([model.symbols.index(symbol) if symbol in model.symbols else 0]), (), state
            )
            rows.append(row_NV)
        return model.logprob_G, model.backoff_G, rows

    return read


def make_vectors(folder: Path) -> None:
    write(folder, glove__txt=plain("cat 0.1 -0.25 3", "dog 1 2e-3 0", ". 0 0 1"))


def make_log(folder: Path) -> None:
    rows = [{"step": n, "epoch": 1, "loss": 5 / n, "validation": {"wer": 50.5 - n}} for n in range(1, 6)]
    write(folder, log__jsonl=jsonl(*rows))


def read_log(folder: Path) -> object:
    return draw.read_log(folder / "log.jsonl")


def make_proposals(folder: Path) -> None:
    write(
        folder, boxes__jsonl=jsonl(*({"image": f"{n}.jpg", "boxes": [[0, 0, 10, 20.5], [1, 2, 3, 4]]} for n in (1, 2)))
    )


def make_stats(folder: Path) -> None:
    write(folder, stats__json=json.dumps({"train": {"items": 3, "dropped": {"empty": 1}}}).encode())


def make_tables(folder: Path) -> None:
    columns = {
        "file": ["a.wav", "b.wav", "c.wav"],
        "text": LINES[:2] + ["x, y"],
        "seconds": [1.5, 2.25, 3.0],
        "n": [1, 2, 3],
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    cells = [list(columns), *([str(cell) for cell in row.values()] for row in rows)]
    write(
        folder,
        t__csv=plain(*(",".join(f'"{cell}"' for cell in row) for row in cells)),
        t__tsv=plain(*map("\t".join, cells)),
        t__json=json.dumps({"data": rows}).encode(),
        t__jsonl=jsonl(*rows),
    )
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, folder / "t.parquet")
    with pyarrow.OSFile(str(folder / "t.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def read_table(name: str):
    return lambda folder: list(read_rows(folder / name))


def make_reports(folder: Path) -> None:
    (folder / "evaluate" / "test").mkdir(parents=True)
    score = {"value": 50.0, "low": 40.0, "high": 60.0, "signature": "x", "counts": {"errors": 1}}
    report = {"split": "test", "items": 3, "metrics": {"wer": score}, "decode": {"beam": 5}}
    (folder / "evaluate" / "test" / "report.json").write_bytes(json.dumps(report).encode())


def make_shards(folder: Path) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.save(folder / "f.npy", rows)
    items = [Item(id=f"a{n}", features=folder / "f.npy", rows=(n, n + 2), references=("b",)) for n in range(4)]
    write_manifest(folder / "train.jsonl", items)
    write_shards(folder, folder / "s", most=1)


def read_shards(folder: Path) -> None:
    for word in ("s", "s/train-00000[02].tar"):
        for item in read_manifest(find_data(folder / word) / "train.jsonl"):
            if item.features:
                read_array(item.features)


def make_part(folder: Path) -> None:
    def command(words: list[str]) -> object:
        return shared(lambda batches: [[len(text) for text in batch] for batch in batches], [["a", "b"], ["cc"]])

    run_part(command, ["prepare"], "1/1", str(folder))


def make_config(folder: Path) -> None:
    save_config(TrainingConfig(), folder / "config.yaml", recipe="translation", data="/x")


READERS = [
    *(Reader(f"table {n}", make_tables, read_table(n), [n]) for n in TABLES),
    Reader("report for a card", make_reports, lambda folder: read_reports(folder, "x"), ["evaluate/test/report.json"]),
    Reader(
        "packed text",
        make_packed,
        lambda folder: [list(read_lines(folder / name)) for name in ("t.bz2", "t.xz")],
        ["t.bz2", "t.xz"],
        within_packed,
    ),
    Reader("manifest", make_manifest, lambda folder: read_manifest(folder / "train.jsonl"), ["train.jsonl"]),
    Reader(
        "stored manifest", make_manifest, lambda folder: list(open_manifest(folder / "train.jsonl")), ["train.jsonl"]
    ),
    Reader("part of a command", make_part, read_parts, ["1-of-1.part"]),
    Reader("shards", make_shards, read_shards, ["s/shards.json", "s/train-000000.tar", "s/train.jsonl"]),
    Reader("check", make_checked, lambda folder: check(folder), ["train.jsonl", "f.npy", "val.jsonl"]),
    *(
        Reader(f"score {name}", make_scored, score(*SCORED[name]), [name], within_gzip if ".gz" in name else None)
        for name in SCORED
    ),
    Reader("WordNet", make_wordnet, read_wordnet, ["index.noun", "data.noun", "noun.exc"]),
    Reader("vocabulary", make_vocab, read_vocab, ["words.json", "characters.json"]),
    *(
        Reader(f"sentencepiece {name}", make_subwords, read_subwords(name), [f"{name}.model"])
        for name in ("bpe", "unigram")
    ),
    *(
        Reader(name, make_ngram, read_ngram(name), [name], within_gzip if ".gz" in name else None)
        for name in ("m.ngram", "m.arpa", "m.arpa.gz")
    ),
    Reader(
        "word vectors",
        make_vectors,
        lambda folder: read_vectors(folder / "glove.txt", WordVocab(["cat", "dog"])),
        ["glove.txt"],
    ),
    Reader(
        "text of a language model", make_scored, lambda folder: read_texts(folder / "ref.txt", "train"), ["ref.txt"]
    ),
    Reader("log", make_log, read_log, ["log.jsonl"]),
    Reader("log in a report", make_log, lambda folder: learning_curve(folder / "log.jsonl"), ["log.jsonl"]),
    Reader("candidate boxes", make_proposals, lambda folder: read_proposals(folder / "boxes.jsonl"), ["boxes.jsonl"]),
    Reader("statistics of a preparation", make_stats, lambda folder: write_stats(folder, {"val": {}}), ["stats.json"]),
    Reader("config", make_config, lambda folder: load_config(TrainingConfig, folder / "config.yaml"), ["config.yaml"]),
]
