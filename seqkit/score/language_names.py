"""Languages by any of their names, and the tokenizer of BLEU that fits each.

`tokenizer_of` reads ISO 639-1 and 639-2 (`zh`, `zho`, `chi`), tags of BCP 47 and of locales with region or script
(`zh-CN`, `zh_TW.UTF-8`, `zho_Hans`, `sr-Latn`), English names and the languages' own (`Chinese`, `中文`), in any case.
A name that it does not know is an error: a guess would be a figure of another tokenizer that looks like any other.

Sources: ISO 639 as pycountry 26.2.16 has it, names of Unicode CLDR as language_data 1.4.0 has them.
"""

import difflib
import re
import unicodedata

from seqkit.errors import InputError

SPACED, HAN, UNSPACED, JAPANESE, KOREAN = "13a", "zh", "char", "ja-mecab", "ko-mecab"

NAMES = """
aa aar Afar, ab abk Abkhazian/Аԥсшәа, ae ave Avestan, af afr Afrikaans, ak aka Akan, am amh Amharic/አማርኛ, an arg
Aragonese/aragonés, ar ara Arabic/العربية, as asm Assamese/অসমীয়া, av ava Avaric, ay aym Aymara, az aze
Azerbaijani/azərbaycan, ba bak Bashkir/башҡорт теле, be bel Belarusian/беларуская, bg bul Bulgarian/български, bi
bis Bislama, bm bam Bambara/bamanakan, bn ben Bangla/বাংলা/Bengali, bo bod tib Tibetan/བོད་སྐད་, br bre
Breton/brezhoneg, bs bos Bosnian/bosanski, ca cat Catalan/català, ce che Chechen/нохчийн, ch cha Chamorro, co cos
Corsican/corsu, cr cre Cree, cs ces cze Czech/čeština, cu chu Church Slavic, cv chv Chuvash/чӑваш, cy cym wel
Welsh/Cymraeg, da dan Danish/dansk, de deu ger German/Deutsch, dv div Divehi, dz dzo Dzongkha/རྫོང་ཁ/Bhutanese, ee
ewe Ewe/eʋegbe, el ell gre Greek/Ελληνικά/Modern Greek, en eng English, eo epo Esperanto, es spa
Spanish/español/Castilian, et est Estonian/eesti, eu eus baq Basque/euskara, fa fas per Persian/فارسی/Farsi, ff ful
Fula/Pulaar, fi fin Finnish/suomi, fj fij Fijian, fo fao Faroese/føroyskt, fr fra fre French/français, fy fry
Western Frisian/Frysk, ga gle Irish/Gaeilge, gd gla Scottish Gaelic/Gàidhlig/Gaelic, gl glg Galician/galego, gn grn
Guarani/avañe’ẽ, gu guj Gujarati/ગુજરાતી, gv glv Manx/Gaelg, ha hau Hausa, he heb Hebrew/עברית, hi hin Hindi/हिन्दी,
ho hmo Hiri Motu, hr hrv Croatian/hrvatski, ht hat Haitian Creole/Kreyòl Ayisyen/Haitian, hu hun Hungarian/magyar,
hy hye arm Armenian/հայերեն, hz her Herero, ia ina Interlingua, id ind Indonesian/bahasa Indonesia, ie ile
Interlingue, ig ibo Igbo, ii iii Sichuan Yi/ꆈꌠꉙ, ik ipk Inupiaq, io ido Ido, is isl ice Icelandic/íslenska, it ita
Italian/italiano, iu iku Inuktitut, ja jpn Japanese/日本語/Nihongo, jv jav Javanese/Jawa, ka kat geo Georgian/ქართული,
kg kon Kongo, ki kik Kikuyu/Gikuyu/Gikuyu, kj kua Kuanyama, kk kaz Kazakh/қазақ тілі, kl kal Kalaallisut, km khm
Khmer/ខ្មែរ/Central Khmer, kn kan Kannada/ಕನ್ನಡ, ko kor Korean/한국어, kr kau Kanuri, ks kas Kashmiri/کٲشُر, ku kur
Kurdish/kurdî (kurmancî), kv kom Komi, kw cor Cornish/kernewek, ky kir Kyrgyz/кыргызча/Kirghiz, la lat Latin/Lingua
latina, lb ltz Luxembourgish/Lëtzebuergesch, lg lug Ganda/Luganda, li lim Limburgish, ln lin Lingala/lingála, lo lao
Lao/ລາວ/ພາສາລາວ, lt lit Lithuanian/lietuvių, lu lub Luba-Katanga/Tshiluba, lv lav Latvian/latviešu, mg mlg Malagasy,
mh mah Marshallese, mi mri mao Māori/Maori, mk mkd mac Macedonian/македонски, ml mal Malayalam/മലയാളം, mn mon
Mongolian/монгол, mr mar Marathi/मराठी, ms msa may Malay/bahasa Malaysia, mt mlt Maltese/Malti, my mya bur
Burmese/မြန်မာ/Myanmar, na nau Nauru, nb nob Norwegian Bokmål/norsk bokmål, nd nde North Ndebele/isiNdebele, ne nep
Nepali/नेपाली, ng ndo Ndonga, nl nld dut Dutch/Nederlands/Flemish, nn nno Norwegian Nynorsk/norsk nynorsk, no nor
Norwegian/norsk, nr nbl South Ndebele, nv nav Navajo/Diné Bizaad, ny nya Nyanja/Chichewa, oc oci Occitan, oj oji
Ojibwa, om orm Oromo/Oromoo, or ori Odia/ଓଡ଼ିଆ/Oriya, os oss Ossetic/ирон, pa pan Punjabi/ਪੰਜਾਬੀ/Panjabi, pi pli
Pali, pl pol Polish/polski, ps pus Pashto/پښتو/Pushto, pt por Portuguese/português, qu que Quechua/Runasimi, rm roh
Romansh/rumantsch, rn run Rundi/Ikirundi, ro ron rum Romanian/română/Moldavian, ru rus Russian/русский, rw kin
Kinyarwanda/Ikinyarwanda, sa san Sanskrit/संस्कृत भाषा, sc srd Sardinian/sardu, sd snd Sindhi/سنڌي, se sme Northern
Sami/davvisámegiella, sg sag Sango/Sängö, si sin Sinhala/සිංහල/Sinhalese, sk slk slo Slovak/slovenčina, sl slv
Slovenian/slovenščina, sm smo Samoan, sn sna Shona/chiShona, so som Somali/Soomaali, sq sqi alb Albanian/shqip, sr
srp Serbian/српски, ss ssw Swati/siSwati, st sot Southern Sotho/Sesotho, su sun Sundanese/Basa Sunda, sv swe
Swedish/svenska, sw swa Swahili/Kiswahili, ta tam Tamil/தமிழ், te tel Telugu/తెలుగు, tg tgk Tajik/тоҷикӣ, th tha
Thai/ไทย/ภาษาไทย, ti tir Tigrinya/ትግርኛ, tk tuk Turkmen/türkmen dili, tl tgl Filipino/Tagalog, tn tsn
Tswana/Setswana, to ton Tongan/lea fakatonga, tr tur Turkish/Türkçe, ts tso Tsonga, tt tat Tatar/татар, tw twi Twi,
ty tah Tahitian, ug uig Uyghur/ئۇيغۇرچە/Uighur, uk ukr Ukrainian/українська, ur urd Urdu/اردو, uz uzb Uzbek/o‘zbek,
ve ven Venda/tshiVenḓa, vi vie Vietnamese/Tiếng Việt, vo vol Volapük, wa wln Walloon/walon, wo wol Wolof, xh xho
Xhosa/IsiXhosa, yi yid Yiddish/ייִדיש, yo yor Yoruba/Èdè Yorùbá, za zha Zhuang/Vahcuengh, zh zho chi
Chinese/中文/汉语/漢語/Mandarin/Mandarin Chinese/Simplified Chinese/Traditional Chinese, zu zul Zulu/isiZulu
"""
_CHINESE = re.findall("...", "cdocjycmncnpcpxcspczhczoganhakhsnlzhmnpnanwuuyue")  # the members of zho in ISO 639-3
_MORE = {"cantonese": "yue", "粤语": "yue", "粵語": "yue", "hokkien": "nan", "classical chinese": "lzh"}
_BY_LANGUAGE = {
    "zh": HAN,
    "ja": JAPANESE,
    "ko": KOREAN,
    **dict.fromkeys(("bo", "dz", "km", "lo", "my", "th"), UNSPACED),
}
_BY_SCRIPT = {
    **dict.fromkeys(("hans", "hant", "hani"), HAN),
    **dict.fromkeys(("jpan", "hrkt", "hira", "kana"), JAPANESE),
    **dict.fromkeys(("kore", "hang"), KOREAN),
    **dict.fromkeys(("thai", "laoo", "mymr", "khmr", "tibt"), UNSPACED),
}
_REGIONS = {  # written in small letters these look like languages of their own: zh-tw is no Twi
    "zh": "cn hk mo my sg th tw",
    "ja": "jp",
    "ko": "kp kr",
    "bo": "cn in",
    "dz": "bt",
    "km": "kh",
    "lo": "la",
    "my": "mm",
    "th": "th",
}
_NO_REGION = ("zh", "ja", "ko", "lo")  # codes of languages that no country has
_TAG = re.compile(r"([a-z]{2,3})((?:[-_][a-z0-9]{1,8})*)(?:\.[\w-]+)?(?:@\w+)?", re.IGNORECASE)


def _known() -> dict[str, str]:
    """Every code and name in small letters, with the shortest code of its language."""
    found = dict.fromkeys(_CHINESE, "zh")
    for entry in " ".join(NAMES.split()).split(", "):
        codes = re.match(r"(?:[a-z]{2,3} )+", entry + " ")
        assert codes
        two = codes[0][:2]
        found |= dict.fromkeys(codes[0].split(), two)
        found |= {_folded(name): two for name in entry[codes.end() :].split("/")}
    return found | {_folded(name): found[code] for name, code in _MORE.items()}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.split())).casefold()


KNOWN = _known()


def tokenizer_of(language: str) -> str:
    """Names the tokenizer of BLEU for a language, as sacrebleu takes it for `zh`, `ja` and `ko`.

    `zh` for Chinese, `ja-mecab` for Japanese, `ko-mecab` for Korean, `char` for Thai, Lao, Khmer, Burmese, Tibetan and
    Dzongkha, else `13a`; a script in the tag decides before the language does, so that `ja-Latn` is `13a`.
    Raises InputError for a name that is none, and for a pair of languages.
    """
    name = _folded(language)
    if name in KNOWN:
        return _BY_LANGUAGE.get(KNOWN[name], SPACED)
    tag = _TAG.fullmatch(language.strip())
    first, *others = re.split("[-_]", tag[1] + tag[2]) if tag else [""]
    script = next((part.casefold() for part in others if len(part) == 4 and part.isalpha()), None)
    code = KNOWN.get(first.casefold())
    if script and len(first) in (2, 3) and (code or len(first) == 3):
        return _BY_SCRIPT.get(script, SPACED)
    if code is None:
        raise InputError(
            f"`--language` must be a language such as zh, zh-CN, zho_Hans, jpn or Japanese, got {language!r}"
            f"{_nearest(name)}; or name a tokenizer by --tokenize"
        )
    chosen = _BY_LANGUAGE.get(code, SPACED)
    for part in map(str.casefold, others):
        never = len(part) == 3 or part in _NO_REGION
        region = not never and (part.upper() in others or part in _REGIONS.get(code, "").split())
        if not region and part in KNOWN and _BY_LANGUAGE.get(KNOWN[part], SPACED) != chosen:
            meant = "" if never else f", or {first}-{part.upper()} if a region is meant"
            raise InputError(f"`--language` must be the one of the references, got {language!r}; give {part}{meant}")
    return chosen


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, [known for known in KNOWN if len(known) > 3], n=1)
    return f"; did you mean {close[0].title()}?" if close else ""
