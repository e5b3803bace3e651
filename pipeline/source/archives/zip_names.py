"""The encoding of names in a zip whose writer did not say: UTF-8, or the code page of the machine it was made on."""

import re
import unicodedata
import zipfile
from pathlib import Path

from charset_normalizer import from_bytes

DEFAULT = "cp437"
"""What zip takes names for that are not marked as UTF-8."""
WESTERN = ["cp850", "cp1252", "cp852"]
"""Code pages of machines of Europe and Brazil: unlike the standard one, they have letters such as ã, ø and ż."""
PAGES = ["cp932", "gb18030", "big5", "cp949", "cp866"]
"""Code pages of Japanese, Chinese, Korean and Russian machines."""
UTF8_MARK = 0x800
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_HAN = re.compile("[\u4e00-\u9fff\uf900-\ufaff]")
_MIXED = re.compile("[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")


def find_encoding(archive: Path) -> str | None:
    """The encoding of the names that are not marked as UTF-8; None if that of the zip format (cp437) fits.

    Raises `zipfile.BadZipFile` and others like `zipfile.ZipFile`.
    """
    with zipfile.ZipFile(archive) as opened:
        names = {member.orig_filename for member in opened.infolist() if not member.flag_bits & UTF8_MARK}
    parts = sorted({part for name in names if not name.isascii() for part in name.replace("\\", "/").split("/")})
    text = "\n".join(part for part in parts if not part.isascii())
    if not text:
        return None
    raw = text.encode(DEFAULT)
    if _decodes(raw, "utf-8"):
        return "utf-8"
    if _is_latin(text):
        return None
    if western := next((page for page in WESTERN if _is_western(raw, page)), None):
        return western
    pages = [page for page in PAGES if _fits(raw, page)]
    best = from_bytes(raw, cp_isolation=pages, threshold=0.6).best() if pages else None
    return best.encoding if best else None


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _fits(raw: bytes, page: str) -> bool:
    """Whether bytes may be names in a code page.

    Japanese names have no letters of half width, Korean ones no Chinese characters, Russian words no Latin letters.
    What has only the common characters of simplified Chinese is hardly ever traditional.
    """
    if not _decodes(raw, page) or (page == "big5" and _decodes(raw, "gb2312")):
        return False
    foreign = {"cp932": _HALF_WIDTH, "cp949": _HAN, "cp866": _MIXED}.get(page)
    return foreign is None or not foreign.search(raw.decode(page))


def _is_western(raw: bytes, page: str) -> bool:
    """Whether bytes are words of letters of ASCII with some Latin ones among them, as other scripts are not."""
    if not _decodes(raw, page) or not _is_latin(text := raw.decode(page)):
        return False
    lines = text.split("\n")
    return all(2 * sum(c.isascii() and c.isalpha() for c in line) >= sum(map(str.isalpha, line)) for line in lines)


def _is_latin(text: str) -> bool:
    """Whether all letters beyond ASCII are Latin ones, as in names of western machines."""
    return all(unicodedata.name(c, "").startswith("LATIN") for c in text if not c.isascii())
