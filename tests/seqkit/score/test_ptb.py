"""The Penn Treebank tokens of captions against those of the official program: golden sentences, laws, and in full."""

import json
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqkit.data.files import read_lines
from seqkit.score import ptb
from seqkit.score.ptb import tokenize
from tests.corpora import DATA

GOLDEN = [  # sentences of our own with the tokens that the COCO caption evaluation's tokenizer gives for them
    (
        "Three kids can't reach the cookies they aren't allowed to eat.",
        "three kids ca n't reach the cookies they are n't allowed to eat",
    ),
    (
        "She's sure they've seen where he'd go, and I'm sure you're late; we'll wait.",
        "she 's sure they 've seen where he 'd go and i 'm sure you 're late we 'll wait",
    ),
    (
        "Parce que c'est l'heure (C’est dit) qu'y'était j'ai vu, d'où c'est-à-dire n'est-ce pas.",
        "parce que c'est l'heure -lrb- c’est dit -rrb- qu y' était j' ai vu d'où c'est à-dire n'est ce pas",
    ),
    ("CAN'T STOP, WON'T STOP: THEY'RE ALL IT'S GOT.", "ca n't stop wo n't stop they 're all it 's got"),
    ("The twins’ mother didn’t see the boy’s kite.", "the twins mother did n't see the boy 's kite"),
    (
        "My sisters' boat cannot sail 'cause the mast isn't up.",
        "my sisters boat can not sail 'cause the mast is n't up",
    ),
    (
        "'Twas late, 'tis early; gimme that, lemme go, I'm gonna sit, he's gotta run and they wanna nap.",
        "'t was late 't is early gim me that lem me go i 'm gon na sit he 's got ta run and they wan na nap",
    ),
    (
        "Fish 'n' chips at ten o'clock for O'Connor, y'all, ma'am, in the '70s or '68 .",
        "fish 'n' chips at ten o'clock for o'connor y' all ma'am in the '70s or '68",
    ),
    (
        "A rock'n'roll c'mon with somethin' ol' in Hawai'i and Xi'an.",
        "a rock 'n' roll c'mon with somethin' ol' in hawai'i and xi'an",
    ),
    (
        "A black-and-white, half-finished mother-in-law's quilt hangs mid-air.",
        "a black-and-white half-finished mother-in-law 's quilt hangs mid-air",
    ),
    ("An \"expensive\" ‘guitar’ — “red” – lies on the ``floor'' .", "an expensive guitar red lies on the floor"),
    ("Wait... what?! No!! A dog... . . . Really?", "wait what ?! no !! a dog really"),
    (
        "Mr. and Mrs. Jones met Dr. Who Jr. on St. Mark Ave. near Mt. Baker.",
        "mr. and mrs. jones met dr. who jr. on st. mark ave. near mt. baker",
    ),
    (
        "At 5 p.m. the U.S. and U.K. teams, e.g. the J.F.K. club etc., left.",
        "at 5 p.m. the u.s. and u.k. teams e.g. the j.f.k. club etc. left",
    ),
    (
        "Plan B. The crowd waits for vitamin C. and for plan D. Mr. Ray knows.",
        "plan b the crowd waits for vitamin c. and for plan d mr. ray knows",
    ),
    (
        "No. 7 passes bus no. 12; the answer is no. Fig. 3 shows it.",
        "no. 7 passes bus no. 12 the answer is no fig. 3 shows it",
    ),
    (
        "Mass. and Tex. are states, but mass. and tex. are not; Jan. is a month and may. is not.",
        "mass. and tex. are states but mass and tex are not jan. is a month and may is not",
    ),
    (
        "10,000 fans paid $5.50 or €7 or £3 or 20¢ at 10:30am , 50% off .",
        "10,000 fans paid $ 5.50 or $ 7 or # 3 or 20 cents at 10:30 am 50 % off",
    ),
    (
        "Size 2 1/2 shoes, ½ price, 1½ miles, 3/4 done, 24/7, 6'2\" tall .",
        "size 2\xa01/2 shoes 1/2 price 1 1/2 miles 3/4 done 24/7 6 2 tall",
    ),
    (
        "Call 555-0199 or (555) 555-0199 on 12/31/1999 at +5 or -5.5 degrees.",
        "call 555-0199 or -lrb-555-rrb-\xa0555-0199 on 12/31/1999 at +5 or -5.5 degrees",
    ),
    (
        "A 4x4 and a 2nd 3-wheeler race 20-somethings from the 1990s.",
        "a 4x4 and a 2nd 3-wheeler race 20-somethings from the 1990s",
    ),
    ("R&B at AT&T's hall; salt & pepper; a+b=c ; H&amp;M", "r&b at at&t 's hall salt & pepper a + b = c h&m"),
    ("he/she and/or his/her t-shirt/jeans either way / none", "he/she and/or his/her t-shirt/jeans either way / none"),
    ("(a man) [a dog] {a cat} -LRB- -rrb-", "-lrb- a man -rrb- -lsb- a dog -rsb- -lcb- a cat -rcb- -lrb- -rrb-"),
    ("<unk> a <start> dog < a cat > <UNK>", "<unk> a <start> dog < a cat > <unk>"),
    (
        "See www.example.org/page or example.com, mail me@example.com or ask @someone_1 about #fun #1 .",
        "see www.example.org/page or example.com mail me@example.com or ask @someone_1 about #fun # 1",
    ),
    ("Smile :) ;-) :( :D =) ^_^ <3 note: see it", "smile :-rrb- ;--rrb- :-lrb- :d =-rrb- ^_^ < 3 note see it"),
    ("A dog.The cat,sat,down;up:over?here!there", "a dog.the cat sat down up over?here!there"),
    ("snow_man __ a~b c|d e*f ** g^h \\ %", "snow_man __ a ~ b c | d e * f ** g ^ h \\ %"),
    (
        "caf\xe9 \xdcn\xefted na\xefve\u65e5\u672c \u72ac \U0001f642 tail \u263a \xbd",
        "café ünïted naïve日本 犬 tail ☺ 1/2",
    ),
    ("- a -- b --- c-d e- -f", "a b c-d e f"),
    ("the end., the side.; 3., x", "the end. the side. 3. x"),
    ("  two   spaces\tand a tab  ", "two spaces and a tab"),
    (".", ""),
    (
        "A 3.5-inch, U.S.-based, non-U.S. toy and a dog,cat-like beast",
        "a 3.5-inch u.s.-based non-u.s. toy and a dog,cat-like beast",
    ),
    ("It costs US$5 or HK$ notes", "it costs us$ 5 or hk$ notes"),
    ("Visit https://example.org/a?b=c, now.", "visit https://example.org/a?b=c now"),
    ("Pro- and anti-war, pre- and post-war", "pro- and anti-war pre and post-war"),
]
PIECES = sorted({piece for text, _ in GOLDEN for piece in text.split()})


@pytest.mark.parametrize(("text", "tokens"), GOLDEN)
def test_tokens_are_those_of_the_official_program(text: str, tokens: str) -> None:
    assert " ".join(tokenize(text)) == tokens


def test_a_caption_of_plain_words_is_its_words_in_lower_case() -> None:
    assert tokenize("A Dog RUNS in the snow") == ["a", "dog", "runs", "in", "the", "snow"]
    assert tokenize("") == tokenize(" \t\n") == tokenize(" . , ' -- ... \" ") == []


@settings(deadline=None)
@given(st.text())
def test_any_text_has_tokens_that_are_in_lower_case_without_spaces_and_punctuation(text: str) -> None:
    for token in tokenize(text):
        assert token and token == token.lower() and not re.search(r"[^\S\xa0]", token)
        assert token not in ("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";")


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.sampled_from([" ", "  ", "\t", "\n"]), min_size=8))
def test_more_white_space_and_marks_between_words_change_nothing(pieces: list[str], spaces: list[str]) -> None:
    pieces = [piece for piece in pieces if not re.search(r"\d|[Nn]o\.|^<|[<>]$", piece)]  # these may join with the next
    wide = "".join(piece + space for piece, space in zip(pieces, spaces, strict=False))
    assert tokenize(f" {wide} ") == tokenize(" ".join(pieces))


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_the_short_way_for_plain_words_gives_what_the_rules_give(pieces: list[str]) -> None:
    text = " ".join(pieces)
    tokens = tokenize(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ptb, "_NEXT", re.compile(r"(?:(\S)(?<!\S))?(?=\S)"))  # its group never matches
        assert tokenize(text) == tokens


def test_a_letter_ends_a_sentence_only_before_a_word_that_opens_one() -> None:
    assert tokenize("in A. The end") == ["in", "a", "the", "end"]
    for text in ("in A. Then, x", "in A. Thebes", "in A. the end", 'in A. "The end"', "in A."):
        assert tokenize(text)[:2] == ["in", "a."]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared folder of published data beside the repository")
def test_tokens_are_the_official_ones_of_the_published_cases() -> None:
    found = json.loads((DATA / "score_cases" / "caption_cases.json").read_text(encoding="utf-8"))
    pairs = [(case["raw"], case["tokens"]) for case in found["tokenizer_cases"]]
    for case in found["cases"]:
        pairs.append((case["hypothesis"], case["hypothesis_tokens"]))
        pairs += zip(case["references"], case["references_tokens"], strict=True)
    assert len(pairs) == 1138
    assert [text for text, tokens in pairs if " ".join(tokenize(text)) != tokens] == []


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared folder of published data beside the repository")
@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
@pytest.mark.parametrize(("corpus", "count"), [("flickr8k/Flickr8k.token.txt", 35000), ("multi30k/train.fr.gz", 29000)])
def test_all_captions_have_the_tokens_of_the_official_program(corpus: str, count: int) -> None:
    module = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    captions = [line.rpartition("\t")[2] for _, line in read_lines(DATA / corpus)]
    official = module.PTBTokenizer().tokenize({n: [{"caption": text}] for n, text in enumerate(captions)})
    different = [text for n, text in enumerate(captions) if [" ".join(tokenize(text))] != official[n]]
    assert len(captions) == count and different == []
