"""Which column holds the text, the id, the time: by name, Korean or English, or as told. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ColumnsError
from producer.mending import MENDED_COLUMNS, REJECT_COLUMNS, is_mending_file
from producer.storable import printable

TEXT_NAMES = (
    *("text", "document", "content", "review", "sentence", "body"),
    *("본문", "내용", "문장", "리뷰"),
)
ID_NAMES = ("id", "post_id", "review_id", "url", "글번호", "아이디")
TIME_NAMES = (
    *("written_at", "created_at", "date", "datetime"),
    *("작성일", "작성일시", "등록일"),
)


@dataclass(frozen=True)
class ColumnOptions:
    """Names given on the command line; None: find it. `keep`: other columns to store as well."""

    text: str | None = None
    external_id: str | None = None
    written_at: str | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are read. No id column: ids are made of file and row."""

    text: str
    external_id: str | None
    written_at: str | None
    keep: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All of them, each once: text, id, time, then what is kept."""
        wanted = (self.text, self.external_id, self.written_at, *self.keep)
        return list(dict.fromkeys(name for name in wanted if name is not None))


def find_columns(found: Sequence[str], options: ColumnOptions, file: str) -> Columns:
    """Settle the columns of one file.

    Raises:
        ColumnsError: a named column is not there or there twice, or none or several could be the
            text. It lists the columns found.
    """
    if is_mending_file(found):
        kept = tuple(n for n in found if n not in (*MENDED_COLUMNS, *REJECT_COLUMNS))
        return Columns("text", "id", "written_at", kept)
    text = _named(found, options.text, file) or _only(found, TEXT_NAMES)
    if text is None:
        candidates = [name for name in found if _plain(name) in TEXT_NAMES]
        what = "more than one text column" if candidates else "no text column"
        raise ColumnsError(f"{file}: {what}", f"among {_listed(found)}; name it with --text-column")
    columns = Columns(
        text,
        _named(found, options.external_id, file) or _first(found, ID_NAMES),
        _named(found, options.written_at, file) or _first(found, TIME_NAMES),
        tuple(_named(found, name, file) or name for name in dict.fromkeys(options.keep)),
    )
    twice = next((name for name in columns.names if found.count(name) > 1), None)
    if twice is not None:
        raise ColumnsError(f"{file}: two columns have the same name", f"among {_listed(found)}")
    return columns


def names_text(found: Sequence[str], options: ColumnOptions) -> bool:
    """Tell whether a header has a column for the text: how a delimiter is recognised."""
    return options.text in found if options.text else any(_plain(n) in TEXT_NAMES for n in found)


def _named(found: Sequence[str], wanted: str | None, file: str) -> str | None:
    if wanted is not None and wanted not in found:
        raise ColumnsError(f"{file}: no column {wanted!r}", f"among {_listed(found)}")
    return wanted


def _only(found: Sequence[str], names: Sequence[str]) -> str | None:
    candidates = [name for name in found if _plain(name) in names]
    return candidates[0] if len(candidates) == 1 else None


def _first(found: Sequence[str], names: Sequence[str]) -> str | None:
    by_plain_name = {_plain(name): name for name in reversed(found)}
    return next((by_plain_name[name] for name in names if name in by_plain_name), None)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().lower()  # a Mac writes Hangul taken apart


def _listed(found: Sequence[str]) -> str:
    shown = ", ".join(printable(name[:40]) for name in found[:20])
    return f"[{shown}{', …' if len(found) > 20 else ''}]"  # noqa: PLR2004 - a line's worth of names
