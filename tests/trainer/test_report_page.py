"""The page of a run in a real browser: pictures drawn, nothing fetched, nothing run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import Page, chromium, find_chromium
from tests.report_facts import FLIPS, history, report_input, sources
from trainer.evidence import Flip, Sample
from trainer.report import FitFacts, ReportInput, write_report

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "</script><script>document.title='taken'</script>",
    '<a href="https://example.com/">열기</a><iframe src="https://example.com/"></iframe>',
    "<style>@import url(https://example.com/a.css); body { display: none }</style>",
    "\x00\u202e</textarea>\ud83d",
)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium on PATH (apt-get install chromium)")
    with chromium(executable, tmp_path / "profile") as opened:
        yield opened


def _open(page: Page, tmp_path: Path, facts: ReportInput, width: int = 1280) -> Path:
    path = tmp_path / "report.html"
    write_report(facts, path)
    page.open(path, width)
    return path


def test_every_picture_is_drawn_and_nothing_is_fetched(page: Page, tmp_path: Path) -> None:
    path = _open(page, tmp_path, report_input())
    assert page.evaluate("document.body.dataset.drawn") == "7"
    assert page.count("[data-figure] .main-svg") >= 7
    assert page.count(".scatterlayer .trace") == 6 + 3  # the fit's curves; the reliability's
    assert page.count(".barlayer .trace") == 2 + 2 + 3  # lengths; reliability; classes
    assert page.count(".heatmaplayer image") == 3  # two confusions, one matrix of flips
    assert page.count(".scatterlayer .js-line") >= 9
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]


def test_marks_and_korean_names_are_in_the_drawing(page: Page, tmp_path: Path) -> None:
    _open(page, tmp_path, report_input())
    drawn = page.evaluate(
        "[...document.querySelectorAll('[data-figure] text')].map((e) => e.textContent).join('|')"
    )
    for words in ("최고: 3에폭, 150단계", "종료: 4에폭, 200단계", "학습 정확도", "중립", "twitter"):
        assert words in drawn


def test_hostile_texts_and_names_run_nothing(page: Page, tmp_path: Path) -> None:
    everything = " ".join(HOSTILE)
    shifts = [
        type(s)(f"{everything} {s.source}", s.documents, s.before, s.after, s.psi)
        for s in sources()
    ]
    flips = [Flip(text, "neutral", "negative", 0.9, everything) for text in HOSTILE]
    path = _open(
        page,
        tmp_path,
        report_input(
            version=f"{everything} v1",
            base=everything,
            requested_by=everything,
            reasons=HOSTILE,
            settings={everything: everything},
            sample=Sample(10_231, shifts, FLIPS, flips),
        ),
    )
    assert page.dialogs == []
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.title").endswith("재학습 보고서")
    assert page.count("iframe, a, main img, main script, main style") == 0
    assert HOSTILE[0] in page.evaluate("document.querySelector('.texts .text').textContent")


def test_a_script_that_got_in_would_be_refused(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(report_input(), path)
    content = path.read_text(encoding="utf-8")
    path.write_text(
        content.replace("<main>", "<main><script>document.title = 'taken'</script>"),
        encoding="utf-8",
    )
    page.open(path)
    assert page.evaluate("document.title").endswith("재학습 보고서")
    assert any("Content Security Policy" in error for error in page.errors)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, tmp_path: Path, width: int) -> None:
    long = "가" * 400 + "a" * 400
    facts = report_input(
        version="v" * 100,
        fit=FitFacts(history(epochs=10, records=60), best_step=4_200, stopped_step=6_000),
        sample=Sample(10_231, sources(), FLIPS, [Flip(long, "neutral", "negative", 0.9, long)]),
    )
    _open(page, tmp_path, facts, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "[...document.querySelectorAll('[data-figure] .main-svg')]"
        ".map((e) => e.getBoundingClientRect().right)"
    )
    assert max(sizes) <= width
    # Tables of numbers may be scrolled sideways; that of texts wraps.
    assert (
        page.evaluate(
            "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
            "(document.querySelector('.texts').parentElement)"
        )
        <= 0
    )


def test_a_tiny_run_is_drawn_too(page: Page, tmp_path: Path) -> None:
    only = {"step": 4, "epoch": 1.0, "eval_loss": 0.9, "eval_accuracy": 0.6, "eval_macro_f1": 0.4}
    _open(page, tmp_path, report_input(fit=FitFacts([only], 4, 4), sample=None))
    assert page.count(".scatterlayer .trace") == 3 + 3
    assert page.count(".scatterlayer .points path") >= 3
    assert page.errors == []
