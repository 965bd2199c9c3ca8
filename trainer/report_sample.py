"""What the page says would change in the stored documents, in Korean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sentiment.labels import LABELS, parse_label
from trainer.evidence import Sample, SourceShift
from trainer.gate import MAX_PSI, MIN_DOCUMENTS, MIN_SOURCE_DOCUMENTS
from trainer.plots_quality import plot_class_shares, plot_flips
from trainer.report_figures import Figures
from trainer.report_html import Html, note, section, share, table, tag, text_block
from trainer.report_input import ReportInput

MOST_SOURCES_DRAWN = 20  # the ones that shift most; the table holds all
_KO = {label.name: label.name_ko for label in LABELS}


def sample(facts: ReportInput, figures: Figures) -> Html:
    """Label shares per source, the flip matrix, and the most confident flips as text."""
    return section("sample", "저장된 문서에서 달라지는 것", *_parts(facts, figures))


def why_alone(facts: ReportInput) -> str:
    """The first half of a sentence: why there is no comparison."""
    if facts.active_version is None:
        return "사용 중인 모델이 없어"
    return "사용 중인 모델을 읽을 수 없어"


def judged_sources(told: Sample) -> list[SourceShift]:
    """The sources whose PSI counts: both versions labelled enough of their documents."""
    return [s for s in told.sources if s.before and s.documents >= MIN_SOURCE_DOCUMENTS]


def _parts(facts: ReportInput, figures: Figures) -> Iterator[Html]:
    told = facts.sample
    if not facts.servable:
        yield note("후보 모델을 쓸 수 없어 무엇이 달라지는지 알 수 없습니다.")
        return
    if told is None or not told.documents:
        yield note("비교할 저장된 문서가 없어 무엇이 달라지는지 알 수 없습니다.")
        return
    if not any(source.before for source in told.sources):
        yield note(f"{why_alone(facts)} 저장된 문서에서 무엇이 달라지는지 비교하지 못했습니다.")
        yield from _candidate_alone(told)
        return
    yield tag("p", f"저장된 문서 {told.documents:,}건에 두 모델이 매긴 라벨을 비교합니다.")
    if told.documents < MIN_DOCUMENTS:
        yield note(
            f"저장된 문서가 {told.documents:,}건으로 {MIN_DOCUMENTS:,}건보다 적어 "
            "심사에 쓰지 않았습니다. 아래 수치는 참고용입니다."
        )
    yield from _shifts(told, figures)
    yield from _flips(told, figures)


def _candidate_alone(told: Sample) -> Iterator[Html]:
    if told.sources:
        rows = [
            [s.source, f"{s.documents:,}", *(share(_share(s.after, name)) for name in _KO)]
            for s in told.sources
        ]
        yield tag("h3", "후보 모델이 매긴 라벨의 비중")
        yield table(["출처", "문서", *_KO.values()], rows)


def _shifts(told: Sample, figures: Figures) -> Iterator[Html]:
    judged = judged_sources(told)
    ranked = sorted(told.sources, key=lambda s: (s not in judged, -s.psi))
    head = ["출처", "문서", "PSI", *(f"{ko} 이전 → 이후" for ko in _KO.values())]
    rows = [
        [s.source, f"{s.documents:,}", _psi(s, s in judged), *(_move(s, name) for name in _KO)]
        for s in ranked
    ]
    yield tag("h3", "출처별 라벨 비중과 PSI")
    words = f"PSI는 라벨 비중이 달라진 정도입니다. {MAX_PSI}를 넘으면 크게 달라진 것입니다."
    if len(judged) < len(ranked):
        words += f" 문서가 {MIN_SOURCE_DOCUMENTS}건보다 적은 출처(회색)는 심사하지 않습니다."
    yield tag("p", words)
    yield table(head, rows)
    words = "출처마다 위는 사용 중인 모델, 아래는 후보 모델입니다."
    if len(ranked) > MOST_SOURCES_DRAWN:
        words += f" PSI가 큰 출처 {MOST_SOURCES_DRAWN}곳만 그렸고, 표에는 모두 있습니다."
    yield figures.place(plot_class_shares(ranked[:MOST_SOURCES_DRAWN]), words)


def _psi(source: SourceShift, judged: bool) -> Html:
    kind = "quiet" if not judged else "worse" if source.psi > MAX_PSI else ""
    return tag("span", f"{source.psi:.3f}", class_=kind)


def _move(source: SourceShift, name: str) -> str:
    return f"{share(_share(source.before, name))} → {share(_share(source.after, name))}"


def _share(said: Mapping[str, int], name: str) -> float:
    return said.get(name, 0) / max(1, sum(said.values()))


def _flips(told: Sample, figures: Figures) -> Iterator[Html]:
    changed = int(told.flips.sum() - told.flips.trace())
    total = max(1, int(told.flips.sum()))
    words = f"{total:,}건 가운데 {changed:,}건({share(changed / total)})의 라벨이 바뀝니다."
    yield figures.place(plot_flips(told.flips), words, narrow=True)
    if not told.top_flips:
        yield note("보여 줄 만한, 라벨이 바뀌는 문서가 없습니다.")
        return
    rows = [
        (
            n,
            _name(flip.before),
            _name(flip.after),
            share(flip.confidence),
            tag("div", text_block(flip.text), tag("small", flip.source)),
        )
        for n, flip in enumerate(told.top_flips, start=1)
    ]
    yield tag("h3", f"가장 확신하며 라벨을 바꾼 문서 {len(rows)}건")
    yield table(("#", "이전", "이후", "확신", "글"), rows, words=5, kind="texts")


def _name(name: str) -> Html:
    label = parse_label(name)
    kind = label.name if label else ""
    return tag("span", label.name_ko if label else name, class_=f"label {kind}")
