"""What PostgreSQL cannot hold is taken out of a value, and nothing else. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# Controls, line ends, marks that turn the direction of what follows, lone surrogates.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def storable(value: str) -> str:
    """Take out what PostgreSQL cannot hold: NUL is dropped, a lone surrogate becomes U+FFFD."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            # Two surrogates that belong together are one character; what is left over is damage.
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value.replace("\x00", "")


def printable(name: str) -> str:
    """A name that a stranger gave, for one line of a message: what would break it is U+FFFD."""
    return _UNSHOWN.sub("\ufffd", name)


def storable_json(values: Mapping[str, object]) -> str:
    """Write kept columns as a JSON object that `jsonb` takes.

    A number keeps its value, as text where no JSON number has it; NaN and infinity, which JSON has
    not, become null; what else JSON does not know (a time, bytes) becomes text.
    """
    return json.dumps(
        {storable(name): _plain(value) for name, value in values.items()}, ensure_ascii=False
    )


def is_storable(value: object) -> bool:
    """Tell whether nothing would be taken out of a value, however deep within."""
    if isinstance(value, str):
        return storable(value) == value
    if isinstance(value, Mapping):
        return all(is_storable(str(name)) and is_storable(v) for name, v in value.items())
    return not isinstance(value, list | tuple) or all(map(is_storable, value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {storable(str(name)): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float | Decimal):
        return _number(value)
    if value is None or isinstance(value, bool | int):
        return value
    return storable(str(value))


def _number(value: float | Decimal) -> float | str | None:
    near = float(value)
    if not math.isfinite(near):
        return None if value != value or near == value else str(value)  # noqa: PLR0124 - NaN
    exact = isinstance(value, float) or Decimal(repr(near)) == value
    return near if exact else str(value)
