"""What the page says of the run itself, section by section, in Korean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from sentiment.labels import LABEL_NAMES, LABELS
from trainer.padding import plot_padding_length
from trainer.plot_style import style, whole_ticks
from trainer.plots import plot_training_progress
from trainer.report_figures import Figures
from trainer.report_html import Html, duration, note, section, share, table, tag
from trainer.report_input import ReportInput
from trainer.split import SMALL_SHARE

SEOUL = ZoneInfo("Asia/Seoul")
_SIDES_KO = {"train": "학습", "validation": "검증", "test": "시험"}
_SETTINGS_KO = {
    "learning_rate": "학습률",
    "epochs": "최대 에폭",
    "batch_rows": "배치 크기(행)",
    "batch_size": "배치 크기(행)",
    "text_column": "글 열",
    "label_column": "라벨 열",
    "label_map": "라벨 대응",
    "padding_ratio": "패딩 길이가 담는 비율",
    "when": "시작 조건",
    "evaluations_per_epoch": "에폭당 평가 횟수",
    "patience": "조기 종료 대기(평가 횟수)",
    "schedule": "학습률 조정",
    "warmup_steps": "준비 단계",
    "weight_decay": "가중치 감쇠",
    "class_weights": "클래스 가중치",
    "label_smoothing": "라벨 평활",
    "dropout": "드롭아웃",
    "seed": "난수 시드",
    "device": "장치",
    "data": "데이터",
    # Of the starter's page.
    "layers": "층 수",
    "width": "은닉 크기",
    "embedding": "단어 벡터 크기",
    "vocabulary": "어휘 크기",
    "passes": "사전 학습 에폭",
    "teacher": "교사 답의 비중",
    "teacher_epochs": "단어를 읽는 교사의 에폭",
    "grades": "평점 열",
    "grade_rounds": "평점 교사의 회차",
    "second_epochs": "둘째 학습의 에폭",
    "third_epochs": "셋째 학습의 에폭",
    "third_learning_rate": "셋째 학습의 학습률",
    "fourth_vocabulary": "넷째 학습의 어휘 크기",
    "fourth_epochs": "넷째 학습의 에폭",
    "later_teacher": "둘째 학습부터 교사 답의 비중",
    "bias": "클래스별 편향",
}
_STAGES_KO = {
    "data": "데이터 준비",
    "base": "기반 모델 준비",
    "pretrain": "사전 학습",
    "fit": "학습",
    "calibration": "보정",
    "evaluation": "시험",
    "compare": "비교",
    "publish": "저장",
}


def verdict(facts: ReportInput) -> Html:
    """The verdict in big words, why, and what could not be judged."""
    kind, word, meaning = {
        True: ("passed", "통과", "후보 모델이 심사를 통과했습니다."),
        False: ("blocked", "차단", "후보 모델은 아래 이유로 쓰이지 않습니다."),
        None: ("unjudged", "심사 없음", "심사 없이 만든 모델입니다."),
    }[facts.passed]
    parts: list[object] = [tag("strong", word), tag("p", meaning)]
    if facts.reasons:
        parts.append(_sentences(facts.reasons, "reasons"))
    if not facts.servable:
        parts.append(
            tag("p", "버전으로 저장하지 않았으므로 강제로도 쓸 수 없습니다.", class_="quiet")
        )
    elif facts.passed is False:
        command = f'nifos models activate {facts.version} --force --why "이유"'
        parts.append(tag("p", "그래도 써야 한다면: ", tag("code", command), class_="quiet"))
    if facts.notes:
        parts += [tag("h3", "판단하지 못한 것"), _sentences(facts.notes, "notes")]
    return tag("section", *parts, class_=f"verdict {kind}", id="verdict")


def _sentences(sentences: Sequence[str], kind: str) -> Html:
    return tag("ul", *(tag("li", sentence) for sentence in sentences), class_=kind)


def summary(facts: ReportInput) -> Html:
    """Which version, of what, when, by whom."""
    made_at = facts.made_at.astimezone(SEOUL)
    rows = [
        ("후보 모델", facts.version),
        ("기반 모델", facts.base),
        ("만든 때", f"{made_at:%Y-%m-%d %H:%M} (서울)"),
        ("요청한 사람", facts.requested_by),
        ("사용 중인 모델", facts.active_version or "없음"),
    ]
    if facts.padding_length:
        rows.append(("패딩 길이", f"{facts.padding_length:,} 토큰"))
    return section("summary", "모델", table(("항목", "값"), rows, words=2, kind="pairs"))


def data(facts: ReportInput) -> Html:
    """Texts per class and side, what was merged, and warnings of rare classes."""
    if not any(sum(counts.values()) for counts in facts.class_counts.values()):
        return section("data", "데이터", note("데이터 건수가 기록되지 않았습니다."))
    sides = facts.class_counts
    totals = {name: sum(counts.get(name, 0) for counts in sides.values()) for name in LABEL_NAMES}
    columns = {_SIDES_KO.get(side, side): counts for side, counts in sides.items()}
    columns["합계"] = totals
    head = ["클래스", *(word for side in columns for word in (side, "비중"))]
    rows = [
        [label.name_ko, *(c for counts in columns.values() for c in _cells(counts, label.name))]
        for label in LABELS
    ]
    rows.append(["합계", *(c for k in columns.values() for c in (f"{sum(k.values()):,}", "100%"))])
    told = f"같은 글 {facts.merged:,}행을 합쳤고, 라벨이 서로 다른 글 {facts.ties:,}건을 뺐습니다."
    if facts.annotations:
        told += f" 사람이 직접 단 라벨 {facts.annotations:,}건이 들어 있습니다."
    everything = max(1, sum(totals.values()))
    warnings = [
        tag(
            "p",
            f"주의: {label.name_ko} 클래스가 전체의 {share(totals[label.name] / everything)}로 "
            f"{SMALL_SHARE:.0%}보다 적습니다. 이 클래스는 잊히기 쉽고 성능을 재기도 어렵습니다.",
            class_="warning",
        )
        for label in LABELS
        if totals[label.name] / everything < SMALL_SHARE
    ]
    return section("data", "데이터", *warnings, table(head, rows, kind="totals"), tag("p", told))


def _cells(counts: Mapping[str, int], name: str) -> tuple[str, str]:
    count = counts.get(name, 0)
    return f"{count:,}", share(count / max(1, sum(counts.values())))


def fit(facts: ReportInput, figures: Figures) -> Html:
    """The course of the fit, and the token lengths."""
    parts: list[Html] = []
    if facts.fit is None or not facts.fit.history:
        parts.append(note("학습 경과가 기록되지 않았습니다."))
    else:
        told = facts.fit
        words = f"{told.best_step:,}단계의 가중치가 가장 좋아 그것을 씁니다."
        words += f" 학습은 {told.stopped_step:,}단계에서 끝났습니다."
        if told.resumed:
            words += f" 중단된 뒤 {told.resumed:,}번 이어서 학습했습니다."
        progress = plot_training_progress(
            told.history, best_step=told.best_step, stopped_step=told.stopped_step
        )
        parts.append(figures.place(progress, words))
    if len(facts.token_lengths):
        covered = float((facts.token_lengths <= facts.padding_length).mean())
        drawn = plot_padding_length(facts.token_lengths, facts.padding_length)
        style(drawn, title=drawn.layout.title.text, height=360, top=90)
        highest = max(float(max(bars.y, default=0)) for bars in drawn.data)
        drawn.update_yaxes(**whole_ticks(highest))
        drawn.update_xaxes(**whole_ticks(float(np.ptp(facts.token_lengths))))
        words = (
            f"패딩 길이 {facts.padding_length:,} 토큰은 글의 {share(covered)}를 한 번에 담습니다."
        )
        if covered < 1:
            words += " 더 긴 글은 창으로 나누어 읽습니다."
        parts.append(figures.place(drawn, words))
    else:
        parts.append(note("토큰 길이가 기록되지 않았습니다."))
    return section("fit", "학습", *parts)


def settings(facts: ReportInput) -> Html:
    """With what settings, and how long each stage took."""
    parts: list[Html] = []
    if facts.settings:
        rows = [(_SETTINGS_KO.get(key, key), _value(v)) for key, v in facts.settings.items()]
        parts.append(table(("설정", "값"), rows, words=2, kind="pairs"))
    else:
        parts.append(note("설정이 기록되지 않았습니다."))
    if facts.durations_s:
        stages = [(_STAGES_KO.get(k, k), duration(s)) for k, s in facts.durations_s.items()]
        stages.append(("합계", duration(sum(facts.durations_s.values()))))
        parts.append(table(("단계", "걸린 시간"), stages, kind="totals pairs"))
    else:
        parts.append(note("걸린 시간이 기록되지 않았습니다."))
    return section("settings", "설정과 걸린 시간", *parts)


def _value(value: object) -> str:
    if value is None:
        return "없음"
    if isinstance(value, bool):
        return "예" if value else "아니요"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_value(part)}" for key, part in value.items())
    return str(value)
