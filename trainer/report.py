"""The page of a run, in Korean: one HTML file that opens offline and runs nothing but its own.

It loads nothing: plotly.js is within it, compressed (2 MB in place of 4.8; a starter version may
have 16 MB in all), and a content security policy forbids every request and every script but the
two whose hashes it names. Texts are escaped besides.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from functools import cache
from pathlib import Path
from string import Template
from uuid import uuid4

from plotly.offline import get_plotlyjs

from trainer import report_comparison, report_sample, report_sections
from trainer.report_figures import Figures
from trainer.report_html import escape, join
from trainer.report_input import CalibrationFacts, FitFacts, ReportInput

__all__ = ["CalibrationFacts", "FitFacts", "ReportInput", "write_report"]

_HERE = Path(__file__).parent


def write_report(facts: ReportInput, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        facts: what it says.
        path: of the file; one that is there is replaced.

    Raises:
        OSError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(_render(facts))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _render(facts: ReportInput) -> str:
    figures = Figures()
    body = join(
        [
            report_sections.verdict(facts),
            report_comparison.key_figures(facts),
            report_sections.summary(facts),
            report_sections.data(facts),
            report_comparison.quality(facts, figures),
            report_sections.fit(facts, figures),
            report_comparison.calibration(facts, figures),
            report_sample.sample(facts, figures),
            report_sections.settings(facts),
        ]
    )
    script = _part("report.js")
    return Template(_part("report.html")).substitute(
        policy=_policy(get_plotlyjs(), script),
        title=escape(f"{facts.version} - 재학습 보고서"),
        heading=escape(facts.version),
        style=_part("report.css"),
        body=body,
        figures=figures.as_json(),
        plotly=_packed_plotly(),
        script=script,
    )


def _policy(*scripts: str) -> str:
    """Nothing from anywhere, no script but these; plotly sets styles and draws images from data."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


@cache
def _packed_plotly() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
