"""Say that a version is being converted: labels wait for it, for a minute with a base model."""

from __future__ import annotations

from pathlib import Path

from cli.output import say
from sentiment.engines.conversion import INT8
from sentiment.engines.making import being_made


class ConversionNote:
    """One line, once, when a worker of this machine is seen to convert.

    Args:
        home: `NIFOS_HOME`, of the worker, too.
        quiet: say nothing.
    """

    def __init__(self, home: Path, *, quiet: bool) -> None:
        self._cache = home / "cache" / "engines"
        self._said = quiet

    def look(self) -> None:
        """Look, and say it. Call it every second or so."""
        form = None if self._said else being_made(self._cache)
        if form is None:
            return
        self._said = True
        into = "int8" if form.startswith(f"{INT8}-") else "OpenVINO's form"
        say(f"nifos: converting the model to {into}, once on this machine: it takes up to a minute")
