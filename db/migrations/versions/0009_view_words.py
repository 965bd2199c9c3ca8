"""What the columns of the views say of themselves: all of them, for psql and for other tools."""

from db.migrations.explain import explain

revision = "0009"
down_revision = "0008"

SOURCE = "Where it comes from | 출처"
VERSION = "The model | 모델"
STARTED = "When it began | 시작한 시각"
FINISHED = "When it ended | 끝난 시각"

COMMENTS = {
    "sentiment_daily": {
        "source": SOURCE,
        "label": "negative, neutral or positive | 감성(영문)",
        "label_ko": "부정, 중립 or 긍정 | 감성(국문)",
    },
    "crawl_status": {
        "crawl": "Its number | 수집 번호",
        "source": SOURCE,
        "files": "Names of its files | 파일 이름",
        "read": "Rows read: accepted + duplicate + rejected | 읽은 행 수(접수 + 중복 + 거부)",
        "accepted": "Documents taken in | 접수된 문서 수",
        "duplicate": "Rows that were there already | 이미 있던 행 수",
        "rejected": "Rows that are no documents; the table reject says why"
        " | 받지 못한 행 수(이유는 reject 표)",
        "chunks": "Groups of documents, the unit of work | 문서 묶음 수",
        "chunks_done": "Those that are labelled | 분류를 마친 묶음 수",
        "labelled": "Documents with a label | 분류된 문서 수",
        "failed": "Documents that no label could be given | 분류하지 못한 문서 수",
        "started_at": STARTED,
        "finished_at": "When its last chunk was done | 마지막 묶음을 마친 시각",
    },
    "nightly_status": {
        "nightly": "Name of the nightly | 야간 작업 이름",
        "source": SOURCE,
        "date": "The night | 날짜",
        "crawl": "The crawl that it released | 접수된 수집 번호",
        "started_at": STARTED,
        "finished_at": FINISHED,
    },
    "training_status": {
        "run": "Its number | 재학습 번호",
        "requested_by": "Who asked for it | 요청한 사람",
        "version": "The model that came of it | 만들어진 모델",
        "epoch": "Passes over the texts so far | 지금까지 학습한 에포크",
        "macro_f1": "Mean F1 of the three classes on the test rows, 0 to 1"
        " | 시험 자료의 매크로 F1(0~1)",
        "accuracy": "Share of the test rows that it labels right, 0 to 1 | 시험 자료의 정확도(0~1)",
        "active": "Whether that model is in use | 지금 쓰는 모델인지",
        "reason": "Why it is blocked or failed | 막히거나 실패한 이유",
        "created_at": "When it was asked for | 요청한 시각",
        "started_at": STARTED,
        "finished_at": FINISHED,
    },
    "activation_status": {
        "at": "When it became active | 교체한 시각",
        "version": "The model from then on | 그때부터 쓴 모델",
        "previous": "The one before; empty: the first | 그 전 모델(비어 있으면 처음)",
        "who": "Who did it | 교체한 사람",
        "why": "What for | 이유",
        "forced": "Against the gate's verdict | 심사 결과를 무시했는지",
    },
    "rescore_status": {
        "version": VERSION,
        "chunks": "Groups of documents that wait for it | 기다리는 문서 묶음 수",
        "documents": "Documents that wait for it | 기다리는 문서 수",
    },
}


def upgrade() -> None:
    """Explain what was not."""
    for view, columns in COMMENTS.items():
        explain({f"column {view}.{column}": words for column, words in columns.items()})


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
