"""Languages by any of their names, their tokenizers as sacrebleu has them, and what is no language."""

import pytest
from sacrebleu.metrics.bleu import BLEU

from seqkit.errors import InputError
from seqkit.score import TextOptions, score, tokenizer_of
from seqkit.score.language import by_character, options_for
from seqkit.score.language_names import KNOWN


def test_the_codes_that_sacrebleu_knows_have_its_tokenizers() -> None:
    assert {code: tokenizer_of(code) for code in BLEU._TOKENIZER_MAP} == BLEU._TOKENIZER_MAP


@pytest.mark.parametrize(
    ("names", "tokenizer"),
    [
        (
            "zh ZH zh-CN zh_CN zh-cn zh-tw zh-sg zh_TW.UTF-8 zh-Hans-CN zho chi zho_Hans cmn yue Chinese 中文 chinese",
            "zh",
        ),
        ("cmn_Hant Mandarin 漢語 zh-yue nan lzh_Hani", "zh"),
        ("ja jpn JPN ja-JP ja_jp ja_JP.eucJP jpn_Jpan Japanese 日本語", "ja-mecab"),
        ("ko kor ko-KR ko-kr kor_Hang Korean 한국어", "ko-mecab"),
        ("th tha th-th tha_Thai Thai ไทย lo lao lo-la km khm khm_Khmr my mya bur mya_Mymr bo bod tib dzo_Tibt", "char"),
        ("en eng en-US en_us eng_Latn English de deu ger German Deutsch pt-br pt-BR sr-Latn arb_Arab swh_Latn", "13a"),
        ("vi Vietnamese hi Farsi français FRANÇAIS zh-Latn ja-Latn en-TH de_DE@euro", "13a"),
    ],
)
def test_any_name_of_a_language_names_its_tokenizer(names: str, tokenizer: str) -> None:
    assert {name: tokenizer_of(name) for name in names.split()} == dict.fromkeys(names.split(), tokenizer)
    assert tokenizer_of(" traditional  Chinese ") == "zh"


def test_every_language_of_iso_639_1_is_known_by_code_and_name() -> None:
    codes = {code for code in KNOWN if len(code) == 2 and code.isascii()}
    assert len(codes) == 183 and set(KNOWN.values()) == codes
    assert len([code for code in KNOWN if len(code) == 3 and code.isascii()]) > 183


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("jp", "must be a language such as zh, zh-CN, zho_Hans, jpn or Japanese, got 'jp'; or name a tokenizer by"),
        ("Chinees", r"got 'Chinees'; did you mean Chinese\?"),
        ("13a", "must be a language"),
        ("", "must be a language"),
        ("xyz", "must be a language"),
        ("en-zh", r"must be the one of the references, got 'en-zh'; give zh$"),
        ("EN-JA", r"got 'EN-JA'; give ja$"),
        ("eng-zho", r"got 'eng-zho'; give zho$"),
        ("ja-en", r"got 'ja-en'; give en, or ja-EN if a region is meant$"),
        ("en-th", r"got 'en-th'; give th, or en-TH if a region is meant$"),
    ],
)
def test_what_is_no_language_or_two_is_refused(name: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        tokenizer_of(name)


def test_a_language_settles_the_tokenizer_and_a_tokenizer_beside_it_is_refused() -> None:
    english = [["A dog runs."]]
    assert options_for(english, TextOptions(language="zh-CN")) == TextOptions(tokenizer="zh")
    assert options_for(english, TextOptions(tokenizer="ptb", language="Thai")).tokenizer == "ptb+char"
    assert options_for(english, TextOptions(tokenizer="ptb", language="ko")).tokenizer == "ptb"
    assert by_character(options_for(english, TextOptions(language="ja")))
    assert not by_character(options_for(english, TextOptions(language="Korean")))
    with pytest.raises(InputError, match="one of language and tokenizer must be given, got 'zh' and '13a'"):
        options_for(english, TextOptions(tokenizer="13a", language="zh"))
    found = score("bleu", ["一只狗在草地上奔跑。"], ["一只狗草地上奔跑。"], TextOptions(language="zho_Hans"))["bleu"]
    assert found.value > 40 and "|tok:zh|" in found.signature


def test_japanese_words_are_those_of_sacrebleu_or_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    references, hypotheses = ["犬が草の上を走っている。"], ["犬が草の上を走る。"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r'ja-mecab must find MeCab, got no such package: pip install "sacrebleu\[ja\]"'
    ):
        score("bleu", references, hypotheses, TextOptions(language="jpn"))
    assert score("wer", references, hypotheses, TextOptions(language="jpn"))["wer"].value == 100
    monkeypatch.undo()
    pytest.importorskip("ipadic")
    found = score("bleu", references, hypotheses, TextOptions(language="jpn"))["bleu"]
    assert found.value == BLEU(trg_lang="ja").corpus_score(hypotheses, [references]).score
    assert "|tok:ja-mecab-" in found.signature
