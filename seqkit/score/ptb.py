"""Penn Treebank tokens of a caption, as the COCO caption evaluation counts them (Chen et al. 2015, arXiv:1504.00325).

That evaluation runs the PTBTokenizer of Stanford CoreNLP 3.4.1 with `-preserveLines -lowerCase` and drops a list of
punctuation. The rules below are written from that program's answers. At every place each rule is tried and the one
that reads furthest wins, of equals the first; what a rule only looks ahead at counts as read. So "don't" is `do`
`n't`, "cannot" is `can` `not`, "mother-in-law's" is `mother-in-law` `'s`, and "Mr. B." is `mr.` `b.`.

A token may hold a no-break space, as that program's do: "2 1/2" is one token.
Known differences: a caption is read alone, whereas that program looks ahead into the next line of its file ("plan B."
before a line that begins with "The" is `b` to it, `b.` here). Scripts and symbols that its older Unicode does not
know, and rare forms of addresses and character entities, may be cut elsewhere.
"""

import re
from itertools import product

# Brackets stay: the official list has -LRB- in capitals, the tokens are in lower case.
_DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])

# How a token is written that is not just put in lower case
_QUOTES = {"’": "'", "›": "'", "‘": "`", "‛": "`", "‹": "`", "”": "''", "»": "''", "“": "``", "«": "``"}
_WRITTEN = {
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "€": "$",
    "¤": "$",
    "₠": "$",
    "£": "#",
    "¢": "cents",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": "''",
    "&apos;": "'",
    "\u00ad": "-",
    **dict.fromkeys("–—―", "--"),
    "…": "...",
    '"': "''",
    **_QUOTES,
    **{first + second: _QUOTES[first] + _QUOTES[second] for first, second in product(_QUOTES, repeat=2)},
    "’s": "'s",
    "’m": "'m",
    "’d": "'d",
    "’ll": "'ll",
    "’re": "'re",
    "’ve": "'ve",
    "n’t": "n't",
}
_INSIDE = str.maketrans({"(": "-lrb-", ")": "-rrb-", " ": "\u00a0", "\t": "\u00a0", "\u00ad": ""})

_NUMERALS = "²³¹¼-¾⁰-₉⅐-↋①-⓿❶-➓"  # \w to Python, symbols here
_MARKS = "\u00ad\u0300-\u036f\u2010\u2011"  # part of a word, though not \w
_LETTER = rf"(?:[^\W\d_{_NUMERALS}]|[{_MARKS}])"
_ALNUM = rf"(?:[^\W_{_NUMERALS}]|[{_MARKS}])"
_WORD = rf"{_LETTER}{_ALNUM}*(?:[.!?]{_LETTER}{_ALNUM}*)*"
_THING = rf"(?:[dDoOlL]['’]{_ALNUM})?{_ALNUM}+"
_PARTS = r"[A-Za-z0-9]+(?:-[A-Za-z]+){,2}"
_CLITIC = rf"['’](?i:s|m|d|ll|re|ve)(?!{_LETTER})|['’][nN](?!\S)|’(?i:s|m|d|ll|re|ve|n)"
_TAG = r"(?:</?[A-Za-z][A-Za-z0-9:._-]*(?:\s[^<>]*)?/?>|<[!?][^<>]*>)"

# Kept together with a period after them, in the cases named
_ANY_CASE = (
    "adj adm adv al ala alex apr ariz assn assoc asst atty aug ave bhd bldg blvd brig bros calif capt cf cie cmdr co "
    "col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft ga gen gov "
    "govs hon inc ind insp intl invt jan jos jr jul jun kan kans ky lieut lt ltd maj mar md messrs mich minn mlle mme "
    "mo mon mont mr mrs ms msgr mt natl neb nev nov oct okla penn pfc ph plc pres prof profs pvt rd rep reps rev rt "
    "sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys tel tenn thu thurs treas tue tues univ va vs vt "
    "wed wis wisc wm wyo"
)
_LOWER_OR_TITLE = "mfg mtg ppte ppty pte ptes pty ptys"
_TITLE_OR_UPPER = "ark az del ill la mass miss ore pa tex wash"
_BEFORE_NUMBER = "art ca fig figs no nos op pp prop"
_OPENERS = (  # of a sentence: a single letter before them ends one
    "a about after an as at but he her here if in it last many more now once one other our she since so some such that "
    "the their then there these they this we what when while yet you"
)


def _either(words: str, *cases: str) -> str:
    """A pattern of the words, split at spaces, in each of the cases: `lower`, `title`, `upper`."""
    return "|".join(getattr(word, case)() for word in words.split() for case in cases)


# A rule reads a token into its first group that matches and, outside it, what has to follow.
_RULES = [
    re.compile(rule)
    for rule in (
        # Words that are cut in two, and clitics
        r"((?i:can))(?i:not)|((?i:gon|wan))(?i:na)|((?i:got))(?i:ta)|((?i:gim|lem))(?i:me)|('(?i:t))(?i:is|was)",
        r"([A-Za-z]*[A-MO-Za-mo-z])(?i:n['’`]t)",
        r"((?i:n['’`]t))",
        rf"({_WORD}|{_THING})(?:{_CLITIC})",
        rf"({_CLITIC})",
        # Words that have an apostrophe
        r"(['’](?:(?i:n['’]|em|till?|cause)|[2-9]0[sS]|\d\d(?!\S))|(?i:y(?:'(?!mon)|’)(?=[a-zß-öø-ÿ])|j(?:'(?!mon)|’)|(?:[ld]|ol|somethin|dunkin)['’]))",
        rf"([A-HJ-XZn]['’]{_LETTER}{{2,}}|{_LETTER}+[aeiouyAEIOUY]['’][aeiouA-Z]{_LETTER}*)",
        r"(c['’](?i:est))",
        r"((?i:d['’]ye|c'mon|li['’]l|ev['’]ry|e['’]er|s['’]mores|nat['’]l|nor['’]easter))",
        # Words and numbers
        rf"({_WORD})",
        rf"({_THING}(?:[-_]{_THING})*)",
        r"((?i:pro|anti)-)",
        r"([A-Za-z0-9][A-Za-z0-9.,]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9]+))+)",
        rf"({_PARTS}(?:\\?/{_PARTS}){{1,2}})",
        r"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)",
        r"([+-]?(?:\d*(?:[.:,]\d+)+|\d+))",
        r"((?:\d{1,4}[- ])?\d{1,4}\\?/\d{1,4})(?!\d)",
        r"((?:\(\d{2,3}\) ?|(?:\d{2,4}[- ])?\d{2,4}[- ])\d{3,4}[- ]?\d{3,5})",
        r"([A-Z]+\$)",
        # What keeps its period
        rf"({_LETTER})\.\s+(?:(?:{_either(_OPENERS, 'title', 'upper')})(?!\S)|M[rs]\.|{_TAG})",
        r"([A-Za-z](?:\.[A-Za-z])*\.|(?i:ph|ed)\.(?i:d)\.?)",
        rf"((?:(?i:{_either(_ANY_CASE, 'lower')})|{_either(_LOWER_OR_TITLE, 'lower', 'title')})\.)",
        rf"((?:{_either(_TITLE_OR_UPPER, 'title', 'upper')})\.)",
        rf"((?i:{_either(_BEFORE_NUMBER, 'lower')})\.)\s?\d",
        rf"({_ALNUM}+(?:-{_ALNUM}+)*\.)[,;:]",
        # Addresses, names, tags, faces
        r"((?:www\.(?:[\w-]+\.)+[A-Za-z]{2,4}|(?:[A-Za-z][A-Za-z0-9]*\.)+(?:com|net|org|edu))"
        r"(?:/[^\s\"<>|()]+[^\s\"<>|(){}.,?!;:])?)",
        r"(https?://[^\s\"<>|(){}]+[^\s\"<>|(){}.,?!;:])",
        r"([A-Za-z0-9][^\s\"<>|()]*@[^\s\"<>|().]+(?:\.[^\s\"<>|().]+)*)",
        rf"(@[A-Za-z_][A-Za-z0-9_]*|\#{_LETTER}+)",
        rf"({_TAG})",
        r"([<>]?[:;=][-*'o]?[()@{|\\\[\]ODPdp](?![^\W_]))",
        r"([-^x=~<>']_[-^x=~<>'])",
        # Marks: runs that stay together, and any other alone
        r"([!?]+|\*+|_+|-{2,}|\#{2,}|@{2,}|\.{3,4}|''|``|[‘’“”‛‹›«»]{1,2}|<<|>>|\\\*)",
        r"(&(?:amp|lt|gt|quot|apos|\#\d+);|-(?i:[lr][rcs]b)-)",
        r"(\S)",
    )
]
# Most of a caption is words of letters alone between spaces, perhaps with a comma: no rule need be tried on those.
_NEXT = re.compile(r"(?<!\S)(?!(?i:cannot|gonna|wanna|gotta|gimme|lemme),?(?!\S))([A-Za-z]+)(?=,?(?!\S))|\S")
# Not in that program's alphabet: it skips them, and they part words as a space does.
_UNKNOWN = re.compile(
    "&nbsp;|[\\x00-\\x1f\\x7f-\\xa0\u1680\u2000-\u200f\u2012\u2024\u2025\u2027-\u202f\u203c\u203d\u2043\u2045-\u206f"
    "\u20a1-\u20a3\u20a5-\u20ab\u20ad-\u20cf\u3000\ue000-\uf8ff\ufe00-\ufe0f\ufeff\ufffd\U00010000-\U0010ffff]"
)


def tokenize(text: str) -> list[str]:
    """The tokens of one caption, in lower case and without punctuation."""
    text = _UNKNOWN.sub(" ", text)
    tokens, place = [], 0
    while found := _NEXT.search(text, place):
        token = found[1] or _longest(text, found.start())
        place = found.start() + len(token)
        token = _WRITTEN.get(token.lower(), token.lower()).replace("&amp;", "&").translate(_INSIDE)
        if token not in _DROPPED and token.strip(".-"):
            tokens.append(token)
    return tokens


def _longest(text: str, place: int) -> str:
    """The token of the rule that reads furthest from `place`."""
    found = max(filter(None, (rule.match(text, place) for rule in _RULES)), key=re.Match.end)
    return found[found.lastindex or 0]
