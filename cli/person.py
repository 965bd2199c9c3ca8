"""Who is at the keyboard, as it is kept with what was done."""

from __future__ import annotations

import getpass
import socket


def this_person() -> str:
    """`kim@desk`, by the operating system."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        name = "unknown"
    return f"{name}@{socket.gethostname()}"
