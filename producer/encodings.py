"""Which encoding a text file has: by rules that can fail, never by a guess that cannot. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from core.errors import InputError

JUDGED_BYTES = 1 << 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNDECODED = re.compile("[\udc80-\udcff]")


def check_encoding(named: str) -> str:
    """The codec of a name given on the command line.

    Raises:
        InputError: there is none for text of that name.
    """
    try:
        b"x".decode(named, "replace")  # base64 and its like are codecs, but of no text
        return codecs.lookup(named).name
    except (LookupError, ValueError):
        raise InputError(f"no such encoding: {named[:40]!r}") from None


def find_encoding(head: bytes, file: str) -> str:
    """Judge the first MiB of a file: byte order mark, else strict UTF-8, else strict CP949.

    Raises:
        InputError: neither fits.
    """
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    for encoding in ("utf-8", "cp949"):
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            # Not final: the head may end in the middle of a character.
            decoder.decode(head, final=len(head) < JUDGED_BYTES)
        except UnicodeDecodeError:
            continue
        return encoding
    raise InputError(f"{file}: neither UTF-8 nor CP949; name its encoding with --encoding")


def decode(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    """Decode a file piece by piece; bytes that do not decode become marks for `has_undecoded`.

    In UTF-16 it is half a pair that does not decode: it stays a lone surrogate, and is no mark.

    Raises:
        UnicodeDecodeError: it ends within a character, or the encoding cannot mark what is wrong.
    """
    wide = encoding.startswith("utf-16")
    errors = "surrogatepass" if wide else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    begun = False
    for piece in chain(pieces, (b"",)):
        text = decoder.decode(piece, final=not piece)
        if text and not begun:  # the mark of an encoding that was named on the command line
            text, begun = text.removeprefix("\ufeff"), True
        yield _UNDECODED.sub("\udfff", text) if wide else text


def has_undecoded(decoded: str) -> bool:
    """Tell whether bytes of it did not decode."""
    return not decoded.isascii() and _UNDECODED.search(decoded) is not None
