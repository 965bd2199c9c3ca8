"""A headless Chromium, driven over its debugging pipe: no driver, no port, no package."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DEADLINE_S = 60
FLAGS = (
    "--headless",
    "--no-sandbox",  # root and most containers have none to give; the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-pipe",
)
# Resolves with how many pictures were drawn, as soon as the page says so.
DRAWN = """new Promise((done) => {
  const look = () => document.body?.dataset.drawn ? done(document.body.dataset.drawn)
                                                  : setTimeout(look, 20);
  look();
})"""


def find_chromium() -> str | None:
    """Where it is, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One open page and what happened on it."""

    _read: int
    _write: int
    _session: str | None = None
    _buffer: bytes = b""
    _last_id: int = 0
    errors: list[str] = field(default_factory=list)
    """Exceptions, console errors and log errors (such as refusals of the page's own policy)."""
    requests: list[str] = field(default_factory=list)
    """URLs asked for, the page's own file included."""
    dialogs: list[str] = field(default_factory=list)

    def open(self, path: Path, width: int = 1280) -> None:
        """Load a file and wait until its pictures are drawn."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=path.as_uri())
        self.evaluate(DRAWN)

    def count(self, selector: str) -> int:
        """How many elements match."""
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and read until its answer."""
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._last_id:
            self._note(answer.get("method", ""), answer.get("params", {}))
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _note(self, method: str, happened: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(str(happened["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and happened["type"] in ("error", "assert"):
            self.errors.append(str(happened["args"]))
        elif method == "Log.entryAdded" and happened["entry"]["level"] == "error":
            self.errors.append(str(happened["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(happened["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(happened["message"])

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while b"\0" not in self._buffer:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._read], [], [], left)
            assert ready, f"Chromium said nothing for {DEADLINE_S} s; errors: {self.errors}"
            got = os.read(self._read, 1 << 20)
            assert got, "Chromium ended"
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@contextmanager
def chromium(executable: str, profile: Path) -> Iterator[Page]:
    """A browser with a profile of its own, ended with all of its children."""
    commands, write = os.pipe()
    read, answers = os.pipe()
    arguments = [executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    quiet = os.open(os.devnull, os.O_RDWR)
    # The pipe's ends are descriptors 3 and 4 by convention; moved up first, lest one cover another.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (commands, answers)]
    pid = os.posix_spawn(
        executable,
        arguments,
        dict(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, quiet, 1),
            (os.POSIX_SPAWN_DUP2, quiet, 2),
            (os.POSIX_SPAWN_DUP2, high[0], 3),
            (os.POSIX_SPAWN_DUP2, high[1], 4),
        ],
        setpgroup=0,
    )
    for fd in (commands, answers, quiet, *high):
        os.close(fd)
    try:
        yield Page(read, write)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)
