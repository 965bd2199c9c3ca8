"""A chunk that ends its worker is watched, so that the next end names the document that does it."""

from alembic import op

from db.migrations.explain import explain

revision = "0007"
down_revision = "0006"

# `place` is what is being computed at this moment; it is read only of a running scoring, and begun
# anew by a claim. `suspect` has no foreign key to `document`: its rows go with their scoring, which
# goes with its chunk.
TABLES = """
alter table scoring
    add column watched boolean not null default false,
    add column place bigint[],
    add column worker text,
    add column waiting_since timestamptz not null default now();

create table suspect (
    chunk_id bigint not null,
    version_id bigint not null,
    document_id bigint not null,
    crashes smallint not null constraint suspect_was_there check (crashes > 0),
    reason text not null,
    constraint suspect_pk primary key (chunk_id, version_id, document_id),
    constraint suspect_scoring_fk foreign key (chunk_id, version_id)
        references scoring on delete cascade
);
"""

COMMENTS = {
    "column scoring.watched": "It ended a worker: it is worked in small groups, each noted before"
    " | 작업 프로세스가 끝난 적이 있어 작은 묶음으로 나눠 처리",
    "column scoring.place": "Documents in hand now, where it is watched | 지금 처리 중인 문서",
    "column scoring.worker": "The process above its holder | 작업 프로세스의 상위 프로세스",
    "column scoring.waiting_since": "When it was last asked for | 마지막으로 요청된 시각",
    "column scoring.n_failed": "Documents without a label: see document_failure and reason"
    " | 분류하지 못한 문서 수",
    "table suspect": "Documents in hand when a process ended; they are worked alone"
    " | 작업 프로세스가 끝날 때 처리 중이던 문서(따로 처리)",
    "column suspect.crashes": "Weight of the ends it was in; from 3 on it has failed"
    " | 3 이상이면 실패로 기록",
    "column document_failure.reason": "Why this version could not label it | 분류하지 못한 이유",
}


def upgrade() -> None:
    """Extend scorings, create suspects."""
    op.execute(TABLES)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
