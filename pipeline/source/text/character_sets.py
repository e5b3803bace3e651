"""The encoding of text that is not UTF-8, judged by whether its characters belong together.

The tables that people bring have few words outside ASCII, often only the names of classes. General detectors need more:
of twenty such tables they got twelve wrong. Each candidate here is an encoding with the letters of one language; the
encoding wins whose text is made of letters that this language uses, in places where it uses them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

ENOUGH = 0.6
"""The mean score of characters below which no encoding is believed."""
RARE = 0.88
"""The worth of encodings that hardly any program writes today."""
GREEK, EAST_ASIA = "\u0370", "\u2e80"
"""The first characters after Latin letters, and of the scripts of East Asia."""
OPENING = frozenset("’‘“«„¿¡°µ–—€£×§\xa0")
"""Signs that a letter may follow, as in l’œuf, °C and µm."""
SIGNS = OPENING | frozenset("”»…²³½¼·®™©±ªº")
WITHIN_WORDS = frozenset("’–—\xa0")
COMMON_HANGUL = frozenset(
    "이가고다사지기나자아수시리인도서대해라일어한정보동물소미주전스로하장부안비마구개새양강차행상원유트오무우조신세여"
    "제드노바과산성방면의에은는을를그러니까치토거북말닭돼오리호랑코끼곰원숭늑여우공항공배버스택꽃나무잎사람남녀집"
    "문학교책연필컴퓨터전화카메라음식밥국빵과일포딸기수박복분류정상불량검결함크랙없있음실내외하늘바다땅길물불"
    "경찰관병환선생간데화국관민당계영재용진현명단심발반생직체표품번호"
)
WESTERN = {
    "German": "äöüß",
    "French": "àâçéèêëîïôùûüœæ",
    "Spanish": "áéíóúüñ",
    "Portuguese": "áâãàçéêíóôõú",
    "Italian": "àèéìòù",
    "Nordic": "åäöæøé",
}
CENTRAL = {
    "Polish": "ąćęłńóśźż",
    "Czech": "áčďéěíňóřšťúůýž",
    "Slovak": "áäčďéíĺľňóôŕšťúýž",
    "Hungarian": "áéíóöőúüű",
    "Croatian": "čćđšž",
    "Romanian": "ăâîşţ",
}
RUSSIAN = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"


@dataclass(frozen=True)
class _Candidate:
    codec: str
    name: str
    score: Callable[[str], float]
    """Between 0 and 1 for a character that the language uses, and 0 for another one."""


def guess_encoding(sample: bytes) -> tuple[str, str, str] | None:
    """Codec, name for people, and a word as an example, of text that is not UTF-8; None if none is convincing."""
    best, found = ENOUGH, None
    for candidate in _candidates():
        try:
            text = sample.decode(candidate.codec)
        except UnicodeDecodeError:
            continue
        words = sorted({word for word in re.split(r"[ \t\r\n,;|\"]+", text) if not word.isascii()})
        score = _mean_score(words, candidate.score)
        if score > best:
            best, found = score, (candidate.codec, candidate.name, max(words, key=lambda word: _rank(word)))
    return found


def _rank(word: str) -> tuple[bool, int]:
    """The better example is a word of letters, and not a long one."""
    return word.isalpha(), -len(word)


def _mean_score(words: list[str], score: Callable[[str], float]) -> float:
    scores = [_in_place(word, i, score) for word in words for i, c in enumerate(word) if not c.isascii()]
    return sum(scores) / max(len(scores), 1)


def _in_place(word: str, i: int, score: Callable[[str], float]) -> float:
    """The score of a character; 0 where it cannot stand: a capital after a small letter, a third accent in a row."""
    c, before, after = word[i], word[i - 1 : i], word[i + 1 : i + 2]
    if c in SIGNS:
        return 0.93 if _is_sign_in_place(c, before, after) else 0.0
    if c in "œŒ" and after.lower() not in ("u", "i"):
        return 0.0
    if c.isupper() and before.islower():
        return 0.0
    if c < GREEK and i > 1 and all(letter.isalpha() and "\x7f" < letter < GREEK for letter in word[i - 2 : i]):
        return 0.0
    if GREEK <= c < EAST_ASIA and any(letter.isascii() and letter.isalpha() for letter in before + after):
        return 0.0
    if c >= EAST_ASIA and before.isascii() and before.islower() and (after.isascii() or not after):
        return 0.0
    return score(c)


def _is_sign_in_place(c: str, before: str, after: str) -> bool:
    if before.isalpha() and after.isalpha():
        return c in WITHIN_WORDS
    return before not in SIGNS and (c in OPENING or not after.isalpha())


def _letters(common: str, worth: float = 1.0, capital: float = 0.95) -> Callable[[str], float]:
    letters = frozenset(common)

    def score(c: str) -> float:
        if c in letters:
            return worth
        return worth * capital if c.lower() in letters else 0.0

    return score


def _between(first: str, last: str) -> Callable[[str], float]:
    return lambda c: 0.88 if first <= c <= last else 0.0


def _russian(c: str) -> float:
    """Rare letters count less: KOI8 and Windows-1251 have the same letters in another order."""
    if c.lower() not in RUSSIAN:
        return 0.0
    return (1 if c.lower() in RUSSIAN[:15] else 0.6) * (1 if c.islower() else 0.95)


def _of_east_asia(c: str) -> bool:
    """Punctuation and wide forms, which every encoding of East Asia has."""
    return "\u3000" <= c <= "\u303f" or "\uff01" <= c <= "\uff60"


def _first_byte(c: str, codec: str) -> int:
    try:
        data = c.encode(codec)
    except UnicodeEncodeError:
        return 0
    return data[0] if len(data) == 2 else 0


def _chinese(c: str) -> float:
    return 0.93 if _of_east_asia(c) or 0xB0 <= _first_byte(c, "gb2312") <= 0xD7 else 0.0


def _traditional(c: str) -> float:
    return 0.92 if _of_east_asia(c) or (0xA4 <= _first_byte(c, "big5") <= 0xC6 and c >= "\u4e00") else 0.0


def _japanese(c: str) -> float:
    """Kana tell Japanese from Chinese; the first level of kanji has the common ones."""
    if "ぁ" <= c <= "ー":
        return 1.0
    return 0.93 if _of_east_asia(c) or 0xB0 <= _first_byte(c, "euc_jp") <= 0xCF else 0.0


def _korean(c: str) -> float:
    """Common syllables tell Korean from Chinese, whose characters have the same bytes."""
    if c in COMMON_HANGUL:
        return 1.0
    return 0.7 if _of_east_asia(c) or 0xB0 <= _first_byte(c, "euc_kr") <= 0xC8 else 0.0


@cache
def _candidates() -> tuple[_Candidate, ...]:
    """All candidates; of two that fit equally well, the first counts."""
    western = [*(_letters(letters) for letters in WESTERN.values()), _letters("".join(WESTERN.values()), 0.9)]
    central = [_letters(letters) for letters in CENTRAL.values()]
    rare_western = [_letters(letters, RARE) for letters in WESTERN.values()]
    rare_central = [_letters(letters, RARE) for letters in CENTRAL.values()]
    return (
        *(_Candidate("cp1252", "Windows-1252", score) for score in western),
        *(_Candidate("cp1250", "Windows-1250", score) for score in central),
        _Candidate("cp1251", "Windows-1251", _russian),
        _Candidate("cp1254", "Windows-1254", _letters("çğıöşüâ")),
        _Candidate("gb18030", "GB18030", _chinese),
        _Candidate("cp932", "Shift-JIS", _japanese),
        _Candidate("cp949", "EUC-KR", _korean),
        _Candidate("big5", "Big5", _traditional),
        _Candidate("euc_jp", "EUC-JP", _japanese),
        _Candidate("cp1255", "Windows-1255", _between("\u05d0", "\u05ea")),
        _Candidate("cp1253", "Windows-1253", _between("\u0386", "\u03ce")),
        _Candidate("cp1256", "Windows-1256", _between("\u0621", "\u0652")),
        _Candidate("cp874", "Windows-874", _between("\u0e01", "\u0e5b")),
        *(_Candidate("iso8859_2", "ISO-8859-2", score) for score in rare_central),
        _Candidate("koi8_r", "KOI8-R", _russian),
        *(_Candidate("mac_roman", "Mac OS Roman", score) for score in rare_western),
        *(_Candidate("cp850", "DOS code page 850", score) for score in rare_western),
    )
