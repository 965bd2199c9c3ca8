"""What the page says of the candidate on the test rows, beside the active version. In Korean."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from sentiment import metrics
from sentiment.labels import LABELS
from sentiment.metrics import Ids
from trainer.evidence import HeldOut
from trainer.plots_quality import (
    plot_confusion,
    plot_reliability,
)
from trainer.report_figures import Figures
from trainer.report_html import (
    Html,
    difference,
    note,
    points,
    section,
    share,
    table,
    tag,
)
from trainer.report_input import ReportInput
from trainer.report_sample import judged_sources, why_alone


def key_figures(facts: ReportInput) -> Html:
    """The four numbers that a reader looks for first."""
    cards: list[Html] = []
    if facts.held_out is not None and len(facts.held_out.truth):
        new, old = _measures(facts.held_out)
        for name in ("macro-F1", "정확도"):
            before = f"사용 중인 모델 {old[name]:.4f}" if old else "비교할 모델 없음"
            cards.append(_card(name, f"{new[name]:.4f}", before))
    if (calibration := facts.calibration) is not None and len(calibration.truth):
        errors = [
            metrics.calibration_error(calibration.truth, probabilities)
            for probabilities in (calibration.before, calibration.after)
        ]
        cards.append(_card("보정 오차 (ECE)", f"{errors[1]:.4f}", f"보정 전 {errors[0]:.4f}"))
    if facts.sample is not None and (judged := judged_sources(facts.sample)):
        worst = max(judged, key=lambda source: source.psi)
        cards.append(_card("가장 큰 PSI", f"{worst.psi:.3f}", worst.source))
    return tag("div", *cards, class_="cards")


def _card(name: str, value: str, below: str) -> Html:
    return tag("div", tag("span", name), tag("b", value), tag("small", below), class_="card")


def quality(facts: ReportInput, figures: Figures) -> Html:
    """Measures on the test rows beside the active version's, and both confusion matrices."""
    held = facts.held_out
    if held is None or not len(held.truth):
        return section("quality", "성능", note("시험 데이터로 잰 성능이 없습니다."))
    new, old = _measures(held)
    parts: list[Html] = [tag("p", f"시험 데이터 {len(held.truth):,}건으로 쟀습니다.")]
    if old is None:
        parts.append(note(f"{why_alone(facts)} 비교하지 못했습니다."))
        rows = [[name, _measure(name, value)] for name, value in new.items()]
        parts.append(table(("지표", "후보 모델"), rows))
    else:
        rows = [
            [name, _measure(name, was), _measure(name, value), _change(name, value - was)]
            for (name, value), was in zip(new.items(), old.values(), strict=True)
        ]
        parts.append(table(("지표", "사용 중인 모델", "후보 모델", "차이"), rows))
    drawn = [
        figures.place(plot_confusion(_confusion(held, held.candidate), "혼동 행렬: 후보 모델"))
    ]
    if held.active is not None:
        active = plot_confusion(_confusion(held, held.active), "혼동 행렬: 사용 중인 모델")
        drawn.append(figures.place(active))
    parts.append(tag("div", *drawn, class_="pair"))
    return section("quality", "성능", *parts)


def _confusion(held: HeldOut, said: Ids) -> Ids:
    return metrics.confusion(held.truth, said)


def _measures(held: HeldOut) -> tuple[dict[str, float], dict[str, float] | None]:
    old = None if held.active is None else dict(_measure_all(_confusion(held, held.active)))
    return dict(_measure_all(_confusion(held, held.candidate))), old


def _measure_all(counts: Ids) -> Iterator[tuple[str, float]]:
    """Each measure by its Korean name; NaN for one of nothing."""
    yield "macro-F1", metrics.macro_f1(counts)
    yield "정확도", metrics.accuracy(counts)
    true, said = counts.sum(axis=1), counts.sum(axis=0)
    recalls, precisions = metrics.recall_per_class(counts), metrics.precision_per_class(counts)
    for label in LABELS:
        rows = int(true[label.id])
        yield f"재현율: {label.name_ko} ({rows:,}건)", recalls[label.id] if rows else math.nan
    for label in LABELS:
        yield f"정밀도: {label.name_ko}", precisions[label.id] if said[label.id] else math.nan


def _measure(name: str, value: float) -> str | None:
    if math.isnan(value):
        return None
    return f"{value:.4f}" if name == "macro-F1" else share(value)


def _change(name: str, value: float) -> Html | None:
    if math.isnan(value):
        return None
    return difference(value) if name == "macro-F1" else points(value)


def calibration(facts: ReportInput, figures: Figures) -> Html:
    """The temperature, and what it does to the probabilities."""
    told = facts.calibration
    if told is None or not len(told.truth):
        return section("calibration", "확률 보정", note("확률을 보정하지 않았습니다."))
    before, after = (
        metrics.calibration_error(told.truth, probabilities)
        for probabilities in (told.before, told.after)
    )
    rows = [
        ("온도", f"{told.temperature:.3f}"),
        ("보정 전 ECE", f"{before:.4f}"),
        ("보정 후 ECE", f"{after:.4f}"),
        (f"{told.rows_ko} 데이터", f"{len(told.truth):,}건"),
    ]
    if (error := _test_error(facts.held_out)) is not None:
        rows.append(("시험 데이터의 ECE", f"{error:.4f}"))
    return section(
        "calibration",
        "확률 보정",
        table(("항목", "값"), rows, kind="pairs"),
        figures.place(
            plot_reliability(told.truth, told.before, told.after),
            "점이 점선에 가까울수록 확률을 그대로 믿을 수 있습니다. "
            "ECE는 확신과 정확도의 평균 차이입니다.",
        ),
    )


def _test_error(held: HeldOut | None) -> float | None:
    """On rows that had no say in the temperature. None where it was not measured."""
    said = None if held is None else held.candidate_probabilities
    if held is None or said is None or not len(said) or not np.isfinite(said).all():
        return None
    return metrics.calibration_error(held.truth, said)
