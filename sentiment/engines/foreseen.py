"""What a version will be computed by on this machine, told by what is kept of its last load.

For a person who asks without loading it: nothing is computed here, and no tensor library is needed.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path

from core.errors import ModelError
from sentiment.engines.agreement import check_texts_mark, what_is_wrong
from sentiment.engines.choice import TORCH, Choice, Machine, choose
from sentiment.engines.kept import Kept
from sentiment.manifest import MANIFEST, parse_manifest

UNCHECKED = "not checked against fp32 yet: the first load does it"


def foresee(
    version: Path,
    cache: Path,
    machine: Machine,
    engine: str = "auto",
    precision: str = "auto",
    why: str | None = None,
) -> Choice:
    """The first choice that did not disagree with fp32 when it was last checked.

    Args:
        version: its directory.
        cache: where a worker keeps outcomes of the check.
        machine: what it would be computed on.
        engine: as set.
        precision: as set.
        why: of an engine and a precision that were named by something else than a person.

    Raises:
        ModelError: as `choose`, the manifest is damaged, or what was asked for disagreed.
    """
    manifest = parse_manifest((version / MANIFEST).read_bytes(), str(version))
    kept = Kept(cache, manifest)
    refused: list[str] = []
    for ruled in choose(machine, engine, precision):
        choice = replace(ruled, why=why or ruled.why)
        if (choice.engine, choice.precision) == (TORCH, "fp32"):
            return _because(choice, refused)  # what the others are measured against
        parts = (choice.engine, installed(choice.engine), choice.precision, check_texts_mark())
        found = kept.last_outcome("agreement-" + "-".join(parts))
        if found is None:
            return _because(choice, [*refused, UNCHECKED])
        wrong = what_is_wrong(found, manifest.tolerance(choice.precision))
        if wrong is None:
            return _because(choice, refused)
        refused.append(f"{choice.engine} in {choice.precision} disagrees with fp32: {wrong}")
    raise ModelError(f"{version}: {refused[-1]}. NIFOS_PRECISION=auto takes another")


def _because(choice: Choice, others: list[str]) -> Choice:
    return replace(choice, why="; ".join([choice.why, *others]))
