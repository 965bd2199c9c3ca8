"""What the gate says, in English for the command and in Korean for the page of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sentiment.labels import Label

NAMED = 10  # of a list

_WORDS = {
    "defect": (
        "the candidate cannot serve: {words}",
        "후보 모델을 쓸 수 없습니다: {words}",
    ),
    "new_head": (
        "the candidate's classification head was newly initialised and never trained",
        "후보 모델의 분류층이 새로 초기화된 채 학습되지 않았습니다",
    ),
    "never_said": (
        "{label}: the candidate never says it, neither of {rows:,} test rows that are"
        " {label} nor of {documents:,} stored documents",
        "{label}: 후보 모델이 한 번도 매기지 않습니다 (시험 문서 중 {label} {rows:,}건,"
        " 저장된 문서 {documents:,}건)",
    ),
    "never_said_in_test": (
        "{label}: the candidate says it of no test row, and {rows:,} of them are",
        "{label}: 시험 문서 중 {rows:,}건이 {label}인데 후보 모델은 한 번도 매기지 않습니다",
    ),
    "active_unreadable": (
        "the active version cannot be compared with: {words}; if the candidate is to replace it,"
        " activate it by force",
        "사용 중인 모델과 비교할 수 없습니다: {words}. 그래도 후보 모델로 바꾸려면 강제로"
        " 활성화해야 합니다",
    ),
    "macro_f1": (
        "macro-F1 falls from {before:.4f} to {after:.4f}, by more than {limit} (mean over"
        " {labels})",
        "macro-F1 {before:.4f} → {after:.4f}: {limit}보다 많이 떨어졌습니다 ({labels} 평균)",
    ),
    "recall": (
        "{label}: recall falls from {before:.4f} to {after:.4f}, by more than {limit}"
        " ({rows:,} test rows)",
        "{label}: 재현율 {before:.4f} → {after:.4f}, {limit}보다 많이 떨어졌습니다"
        " (시험 문서 {rows:,}건)",
    ),
    "psi": (
        "{source}: the labels of its stored documents shift by a PSI of {psi:.3f}, over {limit};"
        " most in {label}, from {before:.2%} to {after:.2%} of {documents:,}",
        "{source}: 저장된 문서의 감성 분포가 크게 바뀝니다 (PSI {psi:.3f}, 한도 {limit}). 가장 큰"
        " 변화는 {label} {before:.2%} → {after:.2%} (문서 {documents:,}건)",
    ),
    "share": (
        "{label}: its share of the stored documents falls from {before:.2%} to {after:.2%},"
        " under a quarter; most in {worst}, from {worst_before:.2%} to {worst_after:.2%}",
        "{label}: 저장된 문서에서 차지하는 비율 {before:.2%} → {after:.2%}, 4분의 1 아래로"
        " 떨어집니다. 가장 큰 변화는 {worst} {worst_before:.2%} → {worst_after:.2%}",
    ),
    "no_active": (
        "no version is active: nothing to compare with, the candidate was judged by itself",
        "사용 중인 모델이 없어 비교 없이 후보 모델만 살폈습니다",
    ),
    "own_split": (
        "the active version was not made by a retrain here: it may have learnt from some of these"
        " test rows, and then looks better on them than it is",
        "사용 중인 모델은 여기서 다시 학습한 것이 아니어서 이 시험 문서 일부를 이미 배웠을 수"
        " 있습니다. 그렇다면 실제보다 좋아 보입니다",
    ),
    "few_to_hear": (
        "{label}: {rows:,} test rows and {documents:,} stored documents are too few to tell"
        " whether the candidate says it at all",
        "{label}: 시험 문서 {rows:,}건과 저장된 문서 {documents:,}건으로는 후보 모델이 이 감성을"
        " 매기는지 알 수 없습니다",
    ),
    "few_rows": (
        "{label}: {rows:,} test rows, fewer than {limit}: its recall is not judged and its F1"
        " not counted, the stored sample alone judges it",
        "{label}: 시험 문서가 {rows:,}건으로 {limit}건보다 적어 재현율과 F1은 심사하지 않고"
        " 저장된 문서로만 심사합니다",
    ),
    "no_macro_f1": (
        "macro-F1 is not judged: no class has {limit} test rows",
        "시험 문서가 {limit}건 이상인 감성이 없어 macro-F1은 심사하지 않았습니다",
    ),
    "few_documents": (
        "{documents:,} stored documents, fewer than {limit:,}: shares, PSI and flips are not"
        " judged",
        "저장된 문서가 {documents:,}건으로 {limit:,}건보다 적어 비율, PSI, 라벨 변화는 심사하지"
        " 않았습니다",
    ),
    "few_source_documents": (
        "fewer than {limit} documents in the sample, so that their PSI is not judged: {sources}",
        "표본 문서가 {limit}건보다 적어 PSI를 심사하지 않은 출처: {sources}",
    ),
}


class Finding:
    """One thing found: a code of the table above and the values that its sentences name.

    A label is named in the language of the sentence; of a list, the first few are named.
    """

    def __init__(self, code: str, **values: Any) -> None:
        self.code = code
        self.values = values

    @property
    def en(self) -> str:
        """In English."""
        return _WORDS[self.code][0].format_map(self._named(lambda label: label.name))

    @property
    def ko(self) -> str:
        """In Korean."""
        return _WORDS[self.code][1].format_map(self._named(lambda label: label.name_ko))

    def _named(self, name: Callable[[Label], str]) -> dict[str, Any]:
        def say(value: Any) -> Any:
            if isinstance(value, Label):
                return name(value)
            if isinstance(value, list):
                more = "" if len(value) <= NAMED else f" (+{len(value) - NAMED})"
                return ", ".join(say(item) for item in value[:NAMED]) + more
            return value

        return {key: say(value) for key, value in self.values.items()}
