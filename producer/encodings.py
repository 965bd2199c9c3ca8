"""Which encoding a text file has: by rules that can fail, never by a guess that cannot."""

from __future__ import annotations

import codecs
from pathlib import Path

from core.errors import InputError

JUDGED_BYTES = 1 << 20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(path: Path, named: str | None) -> str:
    """Judge the first MiB of a file: byte order mark, else strict UTF-8, else strict CP949.

    Raises:
        InputError: neither fits, or the encoding named is unknown.
    """
    if named is not None:
        try:
            b"x".decode(named, "replace")  # base64 and its like are codecs, but of no text
            return codecs.lookup(named).name
        except LookupError:
            raise InputError(f"no such encoding: {named}") from None
    with path.open("rb") as file:
        head = file.read(JUDGED_BYTES)
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
    raise InputError(f"{path.name}: neither UTF-8 nor CP949; name its encoding with --encoding")
