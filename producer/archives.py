"""Members of a `.zip`, read in place: nothing is ever extracted under a name that it brings."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from core.errors import InputError

MAX_RATIO = 200  # of sizes: text reaches 50, a bomb 1,000 and more
RATIO_FROM_BYTES = 16 << 20  # below it no ratio does harm

# Others are unpacked a whole read at a time, into memory, whatever size the archive promises.
STREAMED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# What a broken archive raises.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file in an archive, as the archive's directory has it."""

    info: zipfile.ZipInfo
    names_encoding: str | None

    @property
    def name(self) -> str:
        """Its path within the archive."""
        return self.info.filename


def list_members(path: Path, name: str) -> list[Member]:
    """The files in an archive, sorted by name; folders and a Mac's side files are left out.

    Raises:
        InputError: it is no archive, or a member's name, kind or size is not to be trusted.
        OSError: the file cannot be read.
    """
    with open_archive(path, name) as archive:
        names_encoding = cast(Any, archive).metadata_encoding
        members = [
            Member(info, names_encoding)
            for info in archive.infolist()
            if not info.filename.endswith("/")  # is_dir() trips over a name that is empty
        ]
    for member in members:
        _check(member.info, name)
    if len({member.name for member in members}) < len(members):
        raise InputError(f"{name}: two members have the same name")
    return sorted(
        (member for member in members if not member.name.startswith("__MACOSX/")),
        key=lambda member: member.name,
    )


@contextmanager
def open_member(source: BinaryIO, member: Member) -> Iterator[IO[bytes]]:
    """Open a member of an archive whose directory was read before: it may name a million others.

    Raises:
        OSError: or another of `DAMAGE`: the archive is damaged or another than it was.
    """
    with _DirectoryKnown(source, member) as archive, archive.open(member.info) as stream:
        yield stream


class _DirectoryKnown(zipfile.ZipFile):
    def __init__(self, source: BinaryIO, member: Member) -> None:
        self._member = member
        super().__init__(source, metadata_encoding=member.names_encoding)

    def _RealGetContents(self) -> None:  # noqa: N802 - called by the class above
        self.filelist = [self._member.info]
        self.NameToInfo = {self._member.name: self._member.info}


@contextmanager
def open_archive(source: Path | BinaryIO, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive. Names of a Korean Windows are CP949; Python would take them for CP437.

    Raises:
        InputError: it is not one.
    """
    try:
        try:
            archive = zipfile.ZipFile(source, metadata_encoding="cp949")
        except UnicodeDecodeError:
            archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise InputError(f"{name}: damaged or not a zip archive ({error})") from error
    with archive:
        yield archive


def check_sizes(source: BinaryIO, name: str) -> None:
    """Refuse an archive (an Excel sheet is one) that would blow up when it is read.

    Raises:
        InputError: it would, or it is no archive.
    """
    with open_archive(source, name) as archive:
        for member in archive.infolist():
            _check_packing(member, name)


def _check(member: zipfile.ZipInfo, archive: str) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    shown = member.filename[:80]
    has_drive = bool(path.parts) and path.parts[0].endswith(":")
    if path.is_absolute() or ".." in path.parts or has_drive:
        raise InputError(f"{archive}: the member {shown!r} leads out of the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{archive}: the member {shown!r} is a link")
    if member.flag_bits & 0x1:
        raise InputError(f"{archive}: the member {shown!r} is encrypted")
    _check_packing(member, archive)


def _check_packing(member: zipfile.ZipInfo, archive: str) -> None:
    if member.compress_type not in STREAMED:
        raise InputError(
            f"{archive}: the member {member.filename[:80]!r} is packed by another method than"
            " deflate; pack it anew"
        )
    if member.file_size > max(RATIO_FROM_BYTES, MAX_RATIO * member.compress_size):
        raise InputError(
            f"{archive}: the member {member.filename[:80]!r} would grow more than {MAX_RATIO} times"
        )
