"""Have two versions compared by a process of its own: torch stays out of the asking one."""

from __future__ import annotations

from typing import Any

from cli.child import run_module
from cli.output import Bar
from cli.services import Services


def compare_versions(services: Services, before: str, after: str, bar: Bar) -> dict[str, Any]:
    """What changes in a fixed sample of the stored documents, as `trainer.compare_process` says it.

    Raises:
        NifosError: what the process said, with its exit code.
    """
    found: dict[str, Any] = {}
    for told in run_module(
        "trainer.compare_process",
        [before, after],
        services.settings,
        failed="the versions cannot be compared",
    ):
        if "sample" in told:
            found = told["sample"]
        else:
            bar.show(f"labelling by {told['version']}", told["done"], told["total"])
    return found
