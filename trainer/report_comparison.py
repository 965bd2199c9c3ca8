"""What the page says of the new version against the active one, in Korean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sentiment import metrics
from sentiment.labels import LABELS, parse_label
from trainer.plots_quality import (
    plot_class_shares,
    plot_confusion,
    plot_flips,
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
    text_block,
)
from trainer.report_input import HeldOutLabels, Ids, ReportInput, SampleFacts

MOST_SOURCES_DRAWN = 20  # the ones that shift most; the table holds all
FEWEST_DOCUMENTS = 1_000  # of the sample, for it to count
LARGEST_PSI = 0.2
_KO = {label.name: label.name_ko for label in LABELS}


def key_figures(facts: ReportInput) -> Html:
    """The four numbers that a reader looks for first."""
    cards: list[Html] = []
    if facts.held_out is not None and len(facts.held_out.truth):
        new, old = _measures(facts.held_out)
        for name in ("macro-F1", "정확도"):
            before = f"이전 {old[name]:.4f}" if old else "비교할 버전 없음"
            cards.append(_card(name, f"{new[name]:.4f}", before))
    if (calibration := facts.calibration) is not None and len(calibration.truth):
        errors = [
            metrics.calibration_error(calibration.truth, probabilities)
            for probabilities in (calibration.before, calibration.after)
        ]
        cards.append(_card("보정 오차 (ECE)", f"{errors[1]:.4f}", f"보정 전 {errors[0]:.4f}"))
    if facts.sample is not None and facts.sample.sources:
        worst = max(facts.sample.sources, key=lambda source: source.psi)
        cards.append(_card("가장 큰 PSI", f"{worst.psi:.3f}", worst.source))
    return tag("div", *cards, class_="cards")


def _card(name: str, value: str, below: str) -> Html:
    return tag("div", tag("span", name), tag("b", value), tag("small", below), class_="card")


def quality(facts: ReportInput, figures: Figures) -> Html:
    """Measures on the test rows beside the active version's, and both confusion matrices."""
    held = facts.held_out
    if held is None or not len(held.truth):
        return section("quality", "성능", note("평가 데이터로 잰 성능이 없습니다."))
    new, old = _measures(held)
    parts: list[Html] = [tag("p", f"평가 데이터 {len(held.truth):,}건으로 쟀습니다.")]
    if old is None:
        parts.append(note("사용 중인 버전이 없어 비교하지 못했습니다."))
        rows = [[name, _measure(name, value)] for name, value in new.items()]
        parts.append(table(("지표", "새 버전"), rows))
    else:
        rows = [
            [name, _measure(name, was), _measure(name, value), _change(name, value - was)]
            for (name, value), was in zip(new.items(), old.values(), strict=True)
        ]
        parts.append(table(("지표", facts.active_version or "이전 버전", "새 버전", "차이"), rows))
    drawn = [figures.place(plot_confusion(_confusion(held, held.candidate), "혼동 행렬: 새 버전"))]
    if held.active is not None:
        active = plot_confusion(_confusion(held, held.active), "혼동 행렬: 이전 버전")
        drawn.append(figures.place(active))
    parts.append(tag("div", *drawn, class_="pair"))
    return section("quality", "성능", *parts)


def _confusion(held: HeldOutLabels, said: Ids) -> Ids:
    return metrics.confusion(held.truth, said)


def _measures(held: HeldOutLabels) -> tuple[dict[str, float], dict[str, float] | None]:
    old = None if held.active is None else dict(_measure_all(_confusion(held, held.active)))
    return dict(_measure_all(_confusion(held, held.candidate))), old


def _measure_all(counts: Ids) -> Iterator[tuple[str, float]]:
    yield "macro-F1", metrics.macro_f1(counts)
    yield "정확도", metrics.accuracy(counts)
    for label, value, rows in zip(
        LABELS, metrics.recall_per_class(counts), counts.sum(axis=1), strict=True
    ):
        yield f"재현율: {label.name_ko} ({rows:,}건)", value
    for label, value in zip(LABELS, metrics.precision_per_class(counts), strict=True):
        yield f"정밀도: {label.name_ko}", value


def _measure(name: str, value: float) -> str:
    return f"{value:.4f}" if name == "macro-F1" else share(value)


def _change(name: str, value: float) -> Html:
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


def sample(facts: ReportInput, figures: Figures) -> Html:
    """What would change in the stored documents."""
    title = "저장된 문서에서 달라지는 것"
    told = facts.sample
    if told is None or not told.documents:
        words = (
            "사용 중인 버전이 없어 저장된 문서에서 무엇이 달라지는지 비교하지 못했습니다."
            if facts.active_version is None
            else "비교할 저장된 문서가 없습니다."
        )
        return section("sample", title, note(words))
    read = f"저장된 문서 {told.documents:,}건을 두 버전으로 다시 읽었습니다."
    parts: list[Html] = [tag("p", read)]
    if told.documents < FEWEST_DOCUMENTS:
        parts.append(
            note(
                f"저장된 문서가 {told.documents:,}건으로 {FEWEST_DOCUMENTS:,}건보다 적어 "
                "심사에 쓰지 않았습니다. 아래 수치는 참고용입니다."
            )
        )
    return section("sample", title, *parts, *_shifts(told, figures), *_flips(told, figures))


def _shifts(told: SampleFacts, figures: Figures) -> Iterator[Html]:
    ranked = sorted(told.sources, key=lambda source: -source.psi)
    if not ranked:
        yield note("출처별 비교가 없습니다.")
        return
    head = ["출처", "문서", "PSI", *(f"{ko} 이전 → 이후" for ko in _KO.values())]
    rows = [
        [s.source, f"{s.documents:,}", _psi(s.psi), *(_move(s.before, s.after, n) for n in _KO)]
        for s in ranked
    ]
    yield tag("h3", "출처별 라벨 비중과 PSI")
    yield tag(
        "p", f"PSI는 라벨 비중이 달라진 정도입니다. {LARGEST_PSI}를 넘으면 크게 달라진 것입니다."
    )
    yield table(head, rows)
    words = ""
    if len(ranked) > MOST_SOURCES_DRAWN:
        words = f"PSI가 큰 출처 {MOST_SOURCES_DRAWN}곳입니다. 표에는 모두 있습니다."
    yield figures.place(plot_class_shares(ranked[:MOST_SOURCES_DRAWN]), words)


def _psi(value: float) -> Html:
    return tag("span", f"{value:.3f}", class_="worse" if value > LARGEST_PSI else "")


def _move(before: Mapping[str, int], after: Mapping[str, int], name: str) -> str:
    shares = (said.get(name, 0) / max(1, sum(said.values())) for said in (before, after))
    return " → ".join(map(share, shares))


def _flips(told: SampleFacts, figures: Figures) -> Iterator[Html]:
    changed = int(told.flips.sum() - told.flips.trace())
    total = max(1, int(told.flips.sum()))
    words = f"{total:,}건 가운데 {changed:,}건({share(changed / total)})의 라벨이 바뀝니다."
    yield figures.place(plot_flips(told.flips), words)
    if not told.top_flips:
        yield note("라벨이 바뀌는 문서가 없습니다.")
        return
    rows = [
        (n, _name(flip.before), _name(flip.after), share(flip.confidence), text_block(flip.text))
        for n, flip in enumerate(told.top_flips, start=1)
    ]
    yield tag("h3", f"가장 확신하며 라벨을 바꾼 문서 {len(rows)}건")
    yield table(("#", "이전", "이후", "확신", "글"), rows, words=5, kind="texts")


def _name(name: str) -> Html:
    label = parse_label(name)
    kind = label.name if label else ""
    return tag("span", label.name_ko if label else name, class_=f"label {kind}")
