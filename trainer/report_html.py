"""HTML that is escaped unless it says that it is HTML. It knows of no report.

Everything on a page is built by `tag`, so a name or a text from outside cannot become mark-up by
being forgotten.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

LONGEST_TEXT = 500  # characters of one text on a page; what is longer is cut, and says so

# Controls, and marks that turn the letters around them: shown as what they are.
_TRICKY = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: no encoding can write it

_MINUTE = 60  # seconds
_HOUR_MINUTES = 60


class Html(str):
    """Escaped already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: str) -> Html:
    """An element. Children that are not `Html` are escaped; `class_` is the attribute class."""
    opened = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{opened}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """Parts one after another, escaped where they are not `Html`."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts))


def escape(text: str) -> Html:
    """A text from outside as it can stand in an element or an attribute's quotes."""
    seen = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return Html(html.escape(_TRICKY.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", seen)))


def text_block(text: str) -> Html:
    """A document's text: its own direction, its own lines, cut at `LONGEST_TEXT`."""
    more = len(text) - LONGEST_TEXT
    cut: list[object] = [text[:LONGEST_TEXT]]
    if more > 0:
        cut.append(tag("span", f" … (전체 {len(text):,}자)", class_="quiet"))
    return tag("div", *cut, dir="auto", class_="text")


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], *, words: int = 1, kind: str = ""
) -> Html:
    """A table.

    Args:
        head: the column names.
        rows: cells, as many as names; None is shown as a dash.
        words: how many columns from the left are words; the others are numbers, set to the right.
        kind: a further class.
    """

    def line(cells: Sequence[object], name: str) -> Html:
        return tag(
            "tr",
            *(
                tag(name, "-" if cell is None else cell, class_="" if place < words else "number")
                for place, cell in enumerate(cells)
            ),
        )

    body = [line(cells, "td") for cells in rows]
    inner = tag("table", tag("thead", line(head, "th")), tag("tbody", *body), class_=kind)
    return tag("div", inner, class_="scroll")


def note(words: object) -> Html:
    """One sentence where something is missing."""
    return tag("p", words, class_="missing")


def section(name: str, title: str, *parts: object) -> Html:
    """A section with its heading and its place in links."""
    return tag("section", tag("h2", title), *parts, id=name)


def share(value: float) -> str:
    """0.123 as 12.3%."""
    return f"{value:.1%}"


def points(value: float) -> Html:
    """A difference of shares in percentage points, with its sign and colour."""
    return _signed(value, f"{100 * value:+.1f}%p", 0.0005)


def difference(value: float) -> Html:
    """A difference of measures between 0 and 1, with its sign and colour."""
    return _signed(value, f"{value:+.4f}", 0.00005)


def _signed(value: float, words: str, least: float) -> Html:
    """Green above, red below; what rounds to nothing is neither."""
    if abs(value) < least:
        return tag("span", words.replace("-", "±").replace("+", "±"))
    return tag("span", words, class_="better" if value > 0 else "worse")


def duration(seconds: float) -> str:
    """Seconds as a person says them, in Korean."""
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f}초"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _HOUR_MINUTES:
        return f"{minutes}분 {rest:02}초"
    return f"{minutes // _HOUR_MINUTES:,}시간 {minutes % _HOUR_MINUTES:02}분"
