"""Whether an engine is being converted at this moment, for who only watches.

It knows how `Kept` names what it makes, and loads none of what that needs.
"""

from __future__ import annotations

import fcntl
from pathlib import Path


def being_made(cache: Path) -> str | None:
    """The name of a form that some process makes at this moment; None: none does.

    What a killed process left aside does not count: nobody holds the lock any more.
    """
    try:
        for aside in cache.glob("*/.*"):
            if aside.is_dir() and _is_held(cache / f".{aside.parent.name}.lock"):
                return aside.name.removeprefix(".")
    except OSError:  # it was made meanwhile, or the cache is another user's
        return None
    return None


def _is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
