"""First tables, views and the reader role."""

from alembic import op

from db.migrations.explain import explain

revision = "0001"
down_revision = None

TABLES = """
create type sentiment_label as enum ('negative', 'neutral', 'positive');

create table source (
    id bigint generated always as identity constraint source_pk primary key,
    name text not null constraint source_name_unique unique
        constraint source_name_not_empty check (name <> ''),
    created_at timestamptz not null default now()
);

create table version (
    id bigint generated always as identity constraint version_pk primary key,
    name text not null constraint version_name_unique unique,
    store_path text not null,
    checksums jsonb not null,
    metrics jsonb not null,
    state text not null default 'published'
        constraint version_state_known check (state in ('published', 'active')),
    created_at timestamptz not null default now()
);
create unique index version_one_active on version (state) where state = 'active';

create table crawl (
    id bigint generated always as identity constraint crawl_pk primary key,
    source_id bigint not null constraint crawl_source_fk references source,
    state text not null default 'loading'
        constraint crawl_state_known check (state in ('loading', 'released')),
    files jsonb not null default '[]',
    read bigint not null default 0,
    accepted bigint not null default 0,
    duplicate bigint not null default 0,
    rejected bigint not null default 0,
    started_at timestamptz not null default now(),
    released_at timestamptz,
    constraint crawl_rows_add_up check (read = accepted + duplicate + rejected)
);
create index crawl_by_source on crawl (source_id, state);

create table chunk (
    id bigint generated always as identity constraint chunk_pk primary key,
    crawl_id bigint not null constraint chunk_crawl_fk references crawl on delete cascade,
    n_documents integer not null
        constraint chunk_size_bounded check (n_documents between 1 and 4096),
    wanted_version_id bigint constraint chunk_wanted_version_fk references version,
    current_version_id bigint constraint chunk_current_version_fk references version
);
create index chunk_by_crawl on chunk (crawl_id);

create table document (
    id bigint generated always as identity constraint document_pk primary key,
    source_id bigint not null constraint document_source_fk references source,
    external_id text not null,
    written_at timestamptz,
    text text not null,
    text_hash bytea not null,
    chunk_id bigint not null constraint document_chunk_fk references chunk on delete cascade,
    constraint document_key unique (source_id, external_id)
);
create index document_by_chunk on document (chunk_id);

create table reject (
    id bigint generated always as identity constraint reject_pk primary key,
    crawl_id bigint not null constraint reject_crawl_fk references crawl on delete cascade,
    file text not null,
    row_number bigint not null,
    code text not null,
    message text not null,
    held text not null
);
create index reject_by_crawl on reject (crawl_id);

create table scoring (
    chunk_id bigint not null constraint scoring_chunk_fk references chunk on delete cascade,
    version_id bigint not null constraint scoring_version_fk references version,
    state text not null default 'pending'
        constraint scoring_state_known check (state in ('pending', 'running', 'done', 'failed')),
    precedence smallint not null default 0,
    attempt integer not null default 0,
    tries smallint not null default 0,
    holder text,
    lease_until timestamptz,
    next_try_at timestamptz not null default now(),
    published_at timestamptz,
    reason text,
    n_labelled integer not null default 0,
    n_failed integer not null default 0,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    timings jsonb,
    constraint scoring_pk primary key (chunk_id, version_id),
    constraint scoring_lease_while_running
        check ((state = 'running') = (lease_until is not null and holder is not null))
);
create index scoring_pending on scoring (precedence, chunk_id) where state = 'pending';
create index scoring_running on scoring (lease_until) where state = 'running';
create index scoring_finished on scoring (finished_at) where state = 'done';

create table label (
    document_id bigint not null constraint label_document_fk references document on delete cascade,
    version_id bigint not null constraint label_version_fk references version,
    label sentiment_label not null,
    p_negative real not null,
    p_neutral real not null,
    p_positive real not null,
    windowed boolean not null,
    constraint label_pk primary key (document_id, version_id)
);

create table document_failure (
    id bigint generated always as identity constraint document_failure_pk primary key,
    document_id bigint not null
        constraint document_failure_document_fk references document on delete cascade,
    version_id bigint not null constraint document_failure_version_fk references version,
    reason text not null,
    created_at timestamptz not null default now(),
    constraint document_failure_once unique (document_id, version_id)
);

create table scoring_daily (
    id bigint generated always as identity constraint scoring_daily_pk primary key,
    chunk_id bigint not null,
    version_id bigint not null,
    source_id bigint not null constraint scoring_daily_source_fk references source,
    day date,
    label sentiment_label not null,
    n integer not null,
    constraint scoring_daily_scoring_fk foreign key (chunk_id, version_id)
        references scoring on delete cascade,
    constraint scoring_daily_once unique nulls not distinct (chunk_id, version_id, day, label)
);

create table annotation (
    id bigint generated always as identity constraint annotation_pk primary key,
    document_id bigint not null
        constraint annotation_document_fk references document on delete cascade,
    label sentiment_label not null,
    annotator text not null,
    created_at timestamptz not null default now(),
    constraint annotation_once unique (document_id, annotator)
);

create table training_run (
    id bigint generated always as identity constraint training_run_pk primary key,
    state text not null default 'queued' constraint training_run_state_known
        check (state in ('queued', 'running', 'blocked', 'published', 'failed')),
    request jsonb not null,
    progress jsonb not null default '{}',
    version_id bigint constraint training_run_version_fk references version,
    attempt integer not null default 0,
    lease_until timestamptz,
    reason text,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz
);
"""

FUNCTIONS = """
create function label_ko(sentiment_label) returns text
    language sql immutable parallel safe
    return case $1 when 'negative' then '부정' when 'neutral' then '중립' else '긍정' end;
"""

VIEWS = """
create view sentiment as
select d.id as document_id,
       s.name as source,
       d.external_id,
       d.written_at,
       d.text,
       l.label::text as label,
       label_ko(l.label) as label_ko,
       l.p_negative,
       l.p_neutral,
       l.p_positive,
       v.name as version
from document d
join chunk c on c.id = d.chunk_id
join label l on l.document_id = d.id and l.version_id = c.current_version_id
join version v on v.id = l.version_id
join source s on s.id = d.source_id;

create view sentiment_daily as
select s.name as source,
       counted.day,
       counted.label::text as label,
       label_ko(counted.label) as label_ko,
       counted.n,
       round(counted.n / sum(counted.n) over (partition by counted.source_id, counted.day), 4)
           as share
from (
    select sd.source_id, sd.day, sd.label, sum(sd.n)::bigint as n
    from scoring_daily sd
    join chunk c on c.id = sd.chunk_id and c.current_version_id = sd.version_id
    group by sd.source_id, sd.day, sd.label
) counted
join source s on s.id = counted.source_id;

create view crawl_status as
select cr.id as crawl,
       s.name as source,
       case when cr.state = 'loading' then 'loading'
            when work.open > 0 then 'scoring'
            when work.failed > 0 then 'failed'
            else 'done' end as state,
       (select string_agg(f ->> 'name', ', ') from jsonb_array_elements(cr.files) f) as files,
       cr.read, cr.accepted, cr.duplicate, cr.rejected,
       work.chunks, work.chunks_done, work.labelled, work.failed,
       cr.started_at, work.finished_at
from crawl cr
join source s on s.id = cr.source_id
cross join lateral (
    select count(*) as chunks,
           count(*) filter (where sc.state = 'done') as chunks_done,
           count(*) filter (where sc.state in ('pending', 'running')) as open,
           coalesce(sum(sc.n_labelled), 0)::bigint as labelled,
           coalesce(sum(sc.n_failed), 0)::bigint as failed,
           max(sc.finished_at) as finished_at
    from chunk c
    left join scoring sc on sc.chunk_id = c.id and sc.version_id = c.wanted_version_id
    where c.crawl_id = cr.id
) work;
"""

COMMENTS = {
    "table source": "Where documents come from | 문서의 출처",
    "table crawl": "One enqueued collection, with its counts | 한 번에 접수된 수집분과 그 건수",
    "table chunk": "A fixed group of documents, the unit of queue work | 작업 단위로 묶인 문서들",
    "table document": "One text with its source's own id | 문서 한 건",
    "table reject": "Input rows that are not documents, and why | 받지 못한 행과 그 이유",
    "table version": "Published models; at most one is active | 공개된 모델, 하나만 사용 중",
    "table scoring": "One chunk to be labelled by one version | 한 묶음을 한 모델로 분류하는 작업",
    "table label": "What a version says of a document | 모델이 매긴 감성",
    "table document_failure": "Documents a version could not label | 분류하지 못한 문서",
    "table scoring_daily": "Label counts by day, for sentiment_daily | 일별 집계의 원천",
    "table annotation": "What a person says of a document | 사람이 매긴 감성",
    "table training_run": "Retrains and their state | 재학습 이력",
    "view sentiment": "Every document with its current label | 문서별 감성(현재 모델 기준)",
    "view sentiment_daily": "Counts and shares by source and day | 출처·날짜별 건수와 비율",
    "view crawl_status": "How far each crawl has come | 수집분별 진행 상황",
    "column sentiment.document_id": "The document's id here | 문서 번호",
    "column sentiment.source": "Where it comes from | 출처",
    "column sentiment.external_id": "The source's own id | 출처에서 쓰는 번호",
    "column sentiment.written_at": "When it was written, if known | 작성 시각(모르면 비어 있음)",
    "column sentiment.text": "The text as it was crawled | 원문",
    "column sentiment.label": "negative, neutral or positive | 감성(영문)",
    "column sentiment.label_ko": "부정, 중립 or 긍정 | 감성(국문)",
    "column sentiment.p_negative": "Probability of negative | 부정 확률",
    "column sentiment.p_neutral": "Probability of neutral | 중립 확률",
    "column sentiment.p_positive": "Probability of positive | 긍정 확률",
    "column sentiment.version": "The model that said so | 분류한 모델",
    "column sentiment_daily.day": "Day written (Asia/Seoul unless set), empty if unknown | 작성일",
    "column sentiment_daily.n": "Documents | 문서 수",
    "column sentiment_daily.share": "Share of that source and day, 0 to 1 | 그 출처·날짜 안의 비율",
    "column crawl_status.state": "loading, scoring, done or failed | 접수 중, 분류 중, 완료, 실패",
}

# The role is of the whole server, not of this database: another database may have made it already.
READER = """
do $$ begin
    if not exists (select from pg_roles where rolname = 'nifos_reader') then
        create role nifos_reader nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
do $$ begin
    if not pg_has_role(current_user, 'nifos_reader', 'set') then
        execute format('grant nifos_reader to %I', current_user);
    end if;
end $$;
grant usage on schema public to nifos_reader;
grant select on all tables in schema public to nifos_reader;
alter default privileges in schema public grant select on tables to nifos_reader;
"""


def upgrade() -> None:
    """Create everything."""
    for block in (TABLES, FUNCTIONS, VIEWS, READER):
        op.execute(block)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: there is nothing before the first tables."""
    raise NotImplementedError
