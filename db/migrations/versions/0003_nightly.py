"""The nightly run: what is to run each night, and what became of each night."""

from alembic import op

from db.migrations.explain import explain

revision = "0003"
down_revision = "0002"

TABLES = """
create table nightly (
    id bigint generated always as identity constraint nightly_pk primary key,
    name text not null constraint nightly_name_unique unique
        constraint nightly_name_not_empty check (name <> ''),
    source text not null constraint nightly_source_not_empty check (source <> ''),
    path text not null constraint nightly_path_not_empty check (path <> ''),
    at time not null,
    missed text not null default 'catch-up'
        constraint nightly_missed_known check (missed in ('catch-up', 'skip')),
    options jsonb not null default '{}',
    first_date date not null,
    created_at timestamptz not null default now()
);

create table night (
    id bigint generated always as identity constraint night_pk primary key,
    nightly_id bigint not null constraint night_nightly_fk references nightly on delete cascade,
    date date not null,
    state text not null constraint night_state_known
        check (state in ('waiting', 'running', 'done', 'missing', 'failed', 'skipped')),
    attempt integer not null default 0,
    crawl_id bigint constraint night_crawl_fk references crawl on delete set null,
    reason text,
    next_try_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    constraint night_once unique (nightly_id, date),
    constraint night_crawl_when_done check (crawl_id is null or state = 'done')
);
create index night_by_crawl on night (crawl_id);
"""

VIEWS = """
create view nightly_status as
select ny.name as nightly,
       ny.source,
       n.date,
       n.state,
       n.crawl_id as crawl,
       c.accepted,
       n.reason,
       n.started_at,
       n.finished_at
from night n
join nightly ny on ny.id = n.nightly_id
left join crawl c on c.id = n.crawl_id;
"""

COMMENTS = {
    "table nightly": "What is taken in each night | 매일 밤 접수할 수집분의 설정",
    "column nightly.path": "Pattern of its files; {date} is the night | 파일 경로({date}는 날짜)",
    "column nightly.at": "Time of day, in the program's zone | 실행 시각",
    "column nightly.missed": "Whether a missed night is run later | 놓친 밤의 처리(실행, 건너뜀)",
    "column nightly.first_date": "The first night it answers for | 맡은 첫 날짜",
    "table night": "One night of a nightly and what became of it | 하룻밤의 실행과 그 결과",
    "column night.state": "waiting, running, done, missing, failed or skipped"
    " | 대기, 실행 중, 완료, 파일 없음, 실패, 건너뜀",
    "column night.crawl_id": "The crawl it released, unless forgotten since | 접수된 수집분",
    "column night.reason": "Why it is not done | 완료되지 않은 이유",
    "view nightly_status": "What became of each night | 날짜별 야간 실행 결과",
    "column nightly_status.state": "waiting, running, done, missing, failed or skipped"
    " | 대기, 실행 중, 완료, 파일 없음, 실패, 건너뜀",
    "column nightly_status.accepted": "Documents taken in | 접수된 문서 수",
    "column nightly_status.reason": "Why it is not done | 완료되지 않은 이유",
}


def upgrade() -> None:
    """Create both tables and the view."""
    op.execute(TABLES)
    op.execute(VIEWS)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: which nights are done would be lost."""
    raise NotImplementedError
