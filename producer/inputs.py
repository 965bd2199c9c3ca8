"""What a command line names: files, directories, archives, standard input; each opened as a stream.

It knows suffixes and bytes. What is in them is `producer.formats`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from core.errors import InputError
from producer import archives, compression
from producer.storable import printable

BLOCK_BYTES = 1 << 20
STDIN = "-"

TEXT_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
WHOLE_FORMATS = {".parquet": "parquet", ".xlsx": "xlsx"}  # read from the end: they need seeking
FORMATS = TEXT_FORMATS | WHOLE_FORMATS
KNOWN = (
    f"{', '.join(FORMATS)}, the first {len(TEXT_FORMATS)} also with "
    f"{' or '.join(compression.SUFFIXES)}, or .zip"
)

# What reading a broken stream raises, compressed or not.
DAMAGE = (*archives.DAMAGE, *compression.DAMAGE)


@dataclass(frozen=True)
class Kind:
    """What a name says of its content."""

    format: str
    compression: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether it has an encoding."""
        return self.format not in WHOLE_FORMATS.values()


@dataclass(frozen=True)
class Opened:
    """A decompressed stream, and how many of the input's bytes have been read."""

    stream: BinaryIO
    position: Callable[[], int]


@dataclass(frozen=True)
class Input:
    """One thing to read: a file, a member of an archive, or standard input put aside.

    `size` is its bytes as it lies there, compressed; `stamp` changes when the file does.
    """

    path: Path
    name: str
    kind: Kind
    size: int
    stamp: int
    member: archives.Member | None = None
    archive_sha256: Callable[[], str] | None = field(default=None, compare=False)
    spooled: BinaryIO | None = field(default=None, compare=False)

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open it at its beginning. Formats that need it get a stream that can seek.

        Raises:
            OSError: or another of `DAMAGE`, here or while reading.
        """
        with ExitStack() as stack:
            raw: BinaryIO = stack.enter_context(self.open_raw())
            if self.member is not None:
                member = stack.enter_context(archives.open_member(raw, self.member))
                begins_at, content = self.member.info.header_offset, cast(BinaryIO, member)
                if not self.kind.is_text:
                    content = stack.enter_context(_put_aside(content))
            else:
                begins_at, content = 0, raw
            stream = stack.enter_context(compression.decompressed(content, self.kind.compression))
            yield Opened(stream, lambda: min(max(0, raw.tell() - begins_at), self.size))

    def open_raw(self) -> nullcontext[BinaryIO] | BinaryIO:
        """Open what lies there, still compressed and still in its archive."""
        if self.spooled is None:
            return self.path.open("rb")
        self.spooled.seek(0)
        return nullcontext(self.spooled)

    def has_changed(self) -> bool:
        """Tell whether the file is another than when it was found."""
        return self.spooled is None and _stamp(self.path) != self.stamp

    def sha256(self) -> str:
        """The digest of the file as it lies there (of its archive, for a member)."""
        if self.archive_sha256 is not None:
            return self.archive_sha256()
        with self.open_raw() as raw:
            return _digest(raw)

    def content_sha256(self) -> str:
        """The digest of the content, whatever it is packed in."""
        with self.open() as opened:
            return _digest(opened.stream)


def kind_of(name: str) -> Kind | None:
    """What a file's suffixes say, or None where they are none of ours."""
    path = PurePosixPath(name.lower())
    packed = compression.SUFFIXES.get(path.suffix)
    suffix = PurePosixPath(path.stem).suffix if packed else path.suffix
    known = TEXT_FORMATS if packed else FORMATS
    return Kind(known[suffix], packed) if suffix in known else None


def is_readable_name(name: str) -> bool:
    """Tell whether a file found in a directory is one to read; hidden ones and locks are not."""
    is_ours = PurePosixPath(name.lower()).suffix == ".zip" or kind_of(name) is not None
    return is_ours and not name.startswith((".", "~$"))


def find_inputs(
    paths: Sequence[Path],
    *,
    pattern: str | None = None,
    format: str | None = None,  # noqa: A002 - the option's name
    on_note: Callable[[str], None] = lambda _note: None,
) -> list[Input]:
    """Everything that the paths stand for, in order, each with a name that a message can show.

    A directory stands for the files in it that match the pattern (those whose suffix we read, if
    there is none), sorted by name; an archive for its members; `-` for standard input.

    Args:
        paths: as they stand on the command line.
        pattern: of names in directories, such as `2026-*.csv`.
        format: of standard input, as a suffix without its dot: `csv`, `jsonl.gz`.
        on_note: told what was passed over.

    Raises:
        InputError: something is not there or not one of ours.
        OSError: something cannot be read.
    """
    found: list[Input] = []
    for path in paths:
        if str(path) == STDIN:
            found.append(_standard_input(format))
        elif path.is_dir():
            for child in _children(path, pattern, on_note):
                found += _of_file(child, on_note)
        elif path.is_file():
            found += _of_file(path, on_note)
        else:  # a pipe is none: a file is read twice, for its columns and for its rows
            what = "not a file" if path.exists() else "no such file"
            raise InputError(f"{printable(str(path))}: {what}")
    return _named_apart(found)


def _children(
    directory: Path, pattern: str | None, on_note: Callable[[str], None]
) -> Iterator[Path]:
    try:
        files = sorted(child for child in directory.glob(pattern or "*") if child.is_file())
    except (NotImplementedError, ValueError) as error:
        raise InputError(f"--pattern {pattern!r}: {error}") from None
    ours = [child for child in files if is_readable_name(child.name)]
    if not ours:
        what = f"no file matches {pattern!r}" if pattern else f"a directory without data ({KNOWN})"
        raise InputError(f"{printable(str(directory))}: {what}")
    if len(ours) < len(files):
        passed = f"{len(files) - len(ours)} files of other kinds were passed over"
        on_note(f"{printable(str(directory))}: {passed}")
    yield from ours


def _of_file(path: Path, on_note: Callable[[str], None]) -> list[Input]:
    if _is_archive(path):
        return _members(path, on_note)
    kind, name = kind_of(path.name), printable(path.name)
    if kind is None:
        raise InputError(f"{name}: not one of {KNOWN}")
    if path.stat().st_size == 0 and kind.compression:
        raise InputError(f"{name}: breaks off at its beginning: it is empty")
    return [Input(path, name, kind, path.stat().st_size, _stamp(path))]


def _members(path: Path, on_note: Callable[[str], None]) -> list[Input]:
    archive = printable(path.name)
    members = archives.list_members(path, archive)
    kinds = [(member, kind_of(member.name)) for member in members]
    sha256 = cache(lambda: _digest_of(path))  # once for all members
    found = [
        Input(
            path,
            f"{archive}/{printable(member.name)}",
            kind,
            member.info.compress_size,
            _stamp(path),
            member,
            sha256,
        )
        for member, kind in kinds
        if kind is not None
    ]
    if not found:
        raise InputError(f"{archive}: an archive without data ({KNOWN})")
    if len(found) < len(members):
        on_note(f"{archive}: {len(members) - len(found)} members of other kinds were passed over")
    return found


def _standard_input(format: str | None) -> Input:  # noqa: A002 - the option's name
    kind = kind_of(f"x.{format}") if format else None
    if kind is None:
        names = ", ".join(suffix[1:] for suffix in FORMATS)
        raise InputError(f"standard input needs --format, one of {names} (or csv.gz and so on)")
    # It is read twice, for its columns and for its rows: put aside on disk, without a name.
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the input
    with os.fdopen(os.dup(0), "rb") as stream:
        shutil.copyfileobj(stream, spooled, BLOCK_BYTES)
    size = spooled.tell()
    if size == 0 and kind.compression:
        raise InputError("standard input: breaks off at its beginning: it is empty")
    return Input(Path(STDIN), "standard input", kind, size, 0, spooled=spooled)


@contextmanager
def _put_aside(stream: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as aside:
        shutil.copyfileobj(stream, aside, BLOCK_BYTES)
        aside.seek(0)
        yield aside


def _named_apart(found: list[Input]) -> list[Input]:
    """Files of one name in several folders are called by their paths: a reject names its file."""
    count = Counter(each.name for each in found)
    return [
        replace(each, name=f"{printable(str(each.path.parent))}/{each.name}")
        if count[each.name] > 1
        else each
        for each in found
    ]


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _stamp(path: Path) -> int:
    found = path.stat()
    return hash((found.st_size, found.st_mtime_ns, found.st_ino))


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return _digest(stream)


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
