"""Korean text rules: what is stored becomes what the model reads, at training and serving alike.

The rules have a version, which stands in every model's manifest. No torch here: intake uses them.
"""

from __future__ import annotations

import re
import unicodedata

TEXT_RULES_VERSION = 1

RUN_CAP = 3  # ㅋㅋㅋㅋㅋㅋㅋ says no more than ㅋㅋㅋ, and takes a token each

_SPACE = " "
# Full-width ASCII and the ideographic space become their ordinary forms. Compatibility jamo stay:
# ㅋㅋ must not become something else, which NFKC would make of it.
_FOLDED = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: _SPACE}
# No width and no meaning: soft hyphen, zero-width marks, joiners, variation selectors, the Hangul
# fillers, skin tones.
_DROPPED = [
    *(0x00AD, 0x034F, 0x115F, 0x1160, 0x180E, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0x1F3FB, 0x1F400),
    *range(0xE0000, 0xE0080),
]
_TABLE: dict[int, str | None] = {**_FOLDED, **dict.fromkeys(_DROPPED)}

# Glued to a word, an emoji turns the whole word into [UNK].
_EMOJI = re.compile("([\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff])")
_RUN = re.compile(rf"([ㅋㅎㅠㅜ!?.~])\1{{{RUN_CAP},}}")
# Nothing here that the table drops or folds: the Hangul filler stands among the compatibility jamo.
_LOOKS_PLAIN = re.compile("[ -~ㄱ-ㅣㅥ-ㆎ가-힣]*")


def prepare(text: str) -> str:
    """Make of a stored text what the model reads.

    NFC (NFD Hangul would be [UNK]), full-width folding, zero-width characters dropped, emoji set
    off by spaces, runs of ㅋ ㅎ ㅠ ㅜ ! ? . ~ capped at `RUN_CAP`, white space collapsed. Digits
    and case are untouched. Idempotent.
    """
    if not _LOOKS_PLAIN.fullmatch(text):
        text = unicodedata.normalize("NFC", text.translate(_TABLE))
        text = _EMOJI.sub(r" \1 ", text)
    return _SPACE.join(_RUN.sub(lambda run: run[1] * RUN_CAP, text).split())


def is_blank(text: str) -> bool:
    """Tell whether nothing of a text is left for the model."""
    return not text or text.isspace() or not prepare(text)
