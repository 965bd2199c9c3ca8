"""What the columns of the view `scoring_speed` say of themselves: all of them, and rightly."""

from db.migrations.explain import explain

revision = "0008"
down_revision = "0007"

COMMENTS = {
    "chunk": "The group of documents that was labelled | 문서 묶음 번호",
    "crawl": "The crawl that its documents came with | 수집 번호",
    "source": "Where they come from | 출처",
    "version": "The model that labelled them | 분류한 모델",
    "started_at": "When a worker took it, for the last time | 마지막으로 작업을 시작한 시각",
    "finished_at": "When it was found to be still its worker's and its labels began to be written:"
    " write_s comes after it | 결과를 쓰기 시작한 시각(write_s는 그 뒤의 시간)",
    "seconds": "All that was measured; finished_at - started_at + write_s less this is waiting | "
    "잰 시간의 합(초). 시작부터 끝까지(쓰기 포함)에서 이를 빼면 기다린 시간",
    "engine": "What computed it: torch or openvino | 계산에 쓴 엔진",
    "precision": "fp32, bf16, fp16 or int8 | 계산 정밀도",
    "machine": "The host of the worker that did it | 작업한 컴퓨터",
}


def upgrade() -> None:
    """Explain what was not: a view's columns do not inherit what is said of its tables'."""
    explain({f"column scoring_speed.{column}": words for column, words in COMMENTS.items()})


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
