"""How versions are shown: tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from cli.output import make_table, shortened
from db.versions import VersionRow
from sentiment.labels import LABEL_NAMES
from sentiment.manifest import Manifest

MEASURES = ("macro_f1", "accuracy", "two_class_balanced_accuracy", "calibration_error")
PER_CLASS = ("recall", "precision")
SHOWN_TIME = "%Y-%m-%d %H:%M"


def state_of(row: VersionRow) -> str:
    """`active`, `blocked` or `published`; active by force is `active (blocked)`."""
    if row.state == "active":
        return "active (blocked)" if row.blocked else "active"
    return "blocked" if row.blocked else row.state


def list_table(rows: Sequence[VersionRow]) -> RenderableType:
    """A line for each version."""
    return make_table(
        ("version", "state", "created", "macro_f1", "accuracy", "calibration error"),
        [
            (
                row.name,
                state_of(row),
                f"{row.created_at:{SHOWN_TIME}}",
                *(row.metrics.get(name) for name in ("macro_f1", "accuracy", "calibration_error")),
            )
            for row in rows
        ],
    )


def version_page(row: VersionRow, facts: Mapping[str, Any]) -> RenderableType:
    """All about one version: `facts` are those of `nifos models show --json`."""
    return Group(
        Text(f"{row.name}: {state_of(row)}"),
        # Lines, no table: a path that is folded cannot be copied.
        *(Text(f"  {name}: {value}") for name, value in _facts(row, facts)),
        *_section("metrics, on its own test rows", _measures([row.metrics]), ("", row.name)),
        *_verdict(row.verdict),
        *_section(
            "activations",
            [
                (f"{a['at']:{SHOWN_TIME}}", a["previous"], a["who"], _how(a), a["why"])
                for a in facts["activations"]
            ],
            ("at", "in place of", "by", "", "why"),
        ),
    )


def comparison_page(
    before: VersionRow, after: VersionRow, sample: Mapping[str, Any]
) -> RenderableType:
    """Two versions side by side: what each measured, and what changes in the stored documents."""
    metrics = _measures([before.metrics, after.metrics])
    head = Text("metrics, each on the test rows of its own training")
    parts: list[RenderableType] = [
        Group(head, make_table(("", before.name, after.name), metrics), "")
    ]
    if not sample["documents"]:
        return Group(*parts, Text("no document is stored: nothing to label by both"))
    parts.append(
        Text(
            f"{sample['documents']:,} stored documents, labelled by both now ({before.name} →"
        ).append(f" {after.name}); {sample['flipped']:.1%} change their label")
    )
    parts += [make_table(("source", "documents", "PSI", *LABEL_NAMES), _shifts(sample)), ""]
    parts += [Text(f"documents by label: rows {before.name}, columns {after.name}")]
    flips = zip(LABEL_NAMES, sample["flips"], strict=True)
    parts += [make_table(("", *LABEL_NAMES), [(name, *row) for name, row in flips]), ""]
    if sample["top_flips"]:
        parts += [Text(f"changed labels of which {after.name} is surest"), _flips(sample)]
    return Group(*parts)


def _facts(row: VersionRow, facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "created", f"{row.created_at:{SHOWN_TIME}}"
    yield "files", facts["problem"] or f"{facts['bytes'] / 1e6:.1f} MB in {facts['directory']}"
    if facts["report"]:
        yield "report", facts["report"]
    manifest: Manifest | None = facts["manifest"]
    if manifest is not None:
        yield "padding length", f"{manifest.padding_length} tokens"
        yield "temperature", f"{manifest.temperature:.3f}"
        yield "text rules", f"{manifest.text_rules}"
        for name, value in manifest.training.items():
            if name != "verdict":  # it has a place of its own
                yield name.replace("_", " "), _words(value)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_words(of)}" for key, of in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _measures(metrics: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """A line for each measure that any version has, a column for each version."""
    rows: list[tuple[Any, ...]] = [
        (name.replace("_", " "), *(of.get(name) for of in metrics)) for name in ("rows", *MEASURES)
    ]
    rows += [
        (f"{measure} of {label}", *(of.get(measure, {}).get(label) for of in metrics))
        for measure in PER_CLASS
        for label in LABEL_NAMES
    ]
    return [row for row in rows if any(value is not None for value in row[1:])]


def _verdict(verdict: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    if verdict is None:
        yield Text("verdict: none, the gate never judged it")
        return
    yield Text("verdict: passed" if verdict["passed"] else "verdict: blocked")
    for words in verdict.get("reasons", ()):
        yield Text(f"  {words}")
    for words in verdict.get("notes", ()):
        yield Text(f"  (note) {words}")


def _section(
    title: str, rows: Sequence[Sequence[Any]], columns: Sequence[str]
) -> Iterator[RenderableType]:
    if rows:
        yield Text(title)
        yield make_table(columns, rows)


def _how(activation: Mapping[str, Any]) -> str:
    return "by force" if activation["forced"] else ""


def _shifts(sample: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for source in sample["sources"]:
        documents = source["documents"]
        moves = (
            f"{source['before'][name] / documents:.1%} → {source['after'][name] / documents:.1%}"
            for name in LABEL_NAMES
        )
        yield (source["source"], documents, source["psi"], *moves)


def _flips(sample: Mapping[str, Any]) -> RenderableType:
    return make_table(
        ("from", "to", "confidence", "source", "text"),
        [
            (f["before"], f["after"], f["confidence"], f["source"], shortened(f["text"]))
            for f in sample["top_flips"]
        ],
    )
