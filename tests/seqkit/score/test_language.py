"""The tokenizer follows the references, in every metric that has tokens, and the signature says which."""

import pytest
from sacrebleu.metrics.bleu import BLEU

from seqkit.score import TextOptions, score
from seqkit.score.caption import diversity
from seqkit.score.evaluate import statistics
from seqkit.score.language import options_for, tokenizer_for

CHINESE, JAPANESE, THAI = "一只狗在草地上奔跑。", "犬が草の上を走っている。", "สุนัขวิ่งอยู่บนสนามหญ้า"


@pytest.mark.parametrize(
    ("texts", "tokenizer"),
    [
        ([CHINESE], "zh"),
        (["猫", "狗"], "zh"),
        (["一只 dog 在草地上奔跑"], "zh"),
        ([JAPANESE], "char"),
        (["カタカナ"], "char"),
        ([THAI, "หมาป่า กับ แกะ"], "char"),
        (["ខ្មែរ"], "char"),
        (["မြန်မာဘာသာစကား"], "char"),
        (["犬 が 草 の 上 を 走っ て いる 。"], "13a"),
        (["一 只 狗 在 草地 上 奔跑"], "13a"),
        (["A dog runs.", "猫"], "13a"),
        (["개가 잔디밭을 달린다."], "13a"),
        (["Собака бежит", "कुत्ता दौड़ता है"], "13a"),
        (["", "12 3.5 !"], "13a"),
    ],
)
def test_the_tokenizer_follows_the_script_and_its_spaces(texts: list[str], tokenizer: str) -> None:
    assert tokenizer_for(texts) == tokenizer
    assert options_for([[text] for text in texts]).tokenizer == tokenizer
    assert options_for([texts]).tokenizer == tokenizer


def test_a_named_tokenizer_stays_and_other_options_too() -> None:
    assert options_for([[CHINESE]], TextOptions(tokenizer="13a")).tokenizer == "13a"
    assert options_for([[CHINESE]], TextOptions(lowercase=True, tokenizer="ptb")) == TextOptions(
        lowercase=True, tokenizer="ptb+char"
    )
    assert options_for([["A dog."]], TextOptions(tokenizer="ptb")).tokenizer == "ptb"


@pytest.mark.parametrize(("reference", "tokenizer"), [(CHINESE, "zh"), (JAPANESE, "char"), (THAI, "char")])
def test_a_reader_of_a_language_without_spaces_is_not_at_zero(reference: str, tokenizer: str) -> None:
    hypothesis = reference[:6] + reference[7:]
    found = score("bleu", [reference], [hypothesis])["bleu"]
    assert found.value == BLEU(tokenize=tokenizer).corpus_score([hypothesis], [[reference]]).score > 40
    assert f"|tok:{tokenizer}|" in found.signature
    assert score("bleu", [reference], [hypothesis], TextOptions(tokenizer="13a"))["bleu"].value == 0


def test_captions_without_spaces_are_compared_by_characters() -> None:
    references, near = [CHINESE, "两个人在海边散步"], [CHINESE.replace("草", ""), "两个人在海边走"]
    found = score("bleu4,cider,rouge_l", references, near, TextOptions(tokenizer="ptb"))
    assert all(20 < metric.value < 1000 and "|tok:ptb+char|" in metric.signature for metric in found.values())
    assert not any("equals:" in metric.signature for metric in found.values())
    spaced = (
        [" ".join(text.replace("。", "")) for text in references],
        [" ".join(text.replace("。", "")) for text in near],
    )
    by_words = score("bleu4,cider,rouge_l", *spaced, TextOptions(tokenizer="ptb"))
    assert [metric.value for metric in found.values()] == pytest.approx([metric.value for metric in by_words.values()])
    assert diversity(near, [CHINESE]).mean_length == 7.5


def test_references_in_another_form_are_compared_as_models_learn_them() -> None:
    written = ["ein a\u0308pfel  hier", "bin\u00a0blue now", "set\tred now", "caf\u00e9"]
    read = ["ein äpfel hier", "bin blue now", "set red now", "cafe\u0301"]
    names = "wer,cer,bleu,chrf,ter,bleu4,cider,rouge_l,accuracy"
    for tokenizer in (None, "ptb"):
        same = score(names, read, read, TextOptions(tokenizer=tokenizer))
        for name, found in score(names, written, read, TextOptions(tokenizer=tokenizer)).items():
            assert found == same[name], name
            assert "|text:nfc+space|" in found.signature
    raw = score("wer,chrf", written, read, TextOptions(raw=True))
    assert raw["wer"].value > 50 and raw["chrf"].value < 100 and "|text:raw|" in raw["wer"].signature
    answers = [["coffee  table"] * 10]
    assert statistics(["vqa_accuracy"], answers, ["coffee table"])["vqa_accuracy"].statistics_NK[0, 0] == 1
