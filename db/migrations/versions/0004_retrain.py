"""The retrain: who holds a run, what the gate said, which version was activated when and why."""

from alembic import op

from db.migrations.explain import explain

revision = "0004"
down_revision = "0003"

TABLES = """
alter table version add column verdict jsonb;

alter table training_run
    add column requested_by text not null default 'unknown',
    add column message_id text constraint training_run_message_once unique,
    add column holder text,
    add column tries smallint not null default 0,
    add column next_try_at timestamptz not null default now(),
    add column verdict jsonb,
    add column exit_code smallint,
    add constraint training_run_lease_while_running
        check ((state = 'running') = (lease_until is not null and holder is not null));
create unique index training_run_one_open on training_run ((true))
    where state in ('queued', 'running');

create table activation (
    id bigint generated always as identity constraint activation_pk primary key,
    version_id bigint not null constraint activation_version_fk references version,
    previous_version_id bigint constraint activation_previous_version_fk references version,
    who text not null,
    why text not null,
    forced boolean not null default false,
    at timestamptz not null default clock_timestamp()
);
insert into activation (version_id, who, why)
select id, 'unknown', 'active before activations were kept' from version where state = 'active';
"""

VIEWS = """
create view training_status as
select r.id as run,
       r.state,
       r.requested_by,
       v.name as version,
       (r.progress ->> 'epoch')::numeric as epoch,
       (v.metrics ->> 'macro_f1')::numeric as macro_f1,
       (v.metrics ->> 'accuracy')::numeric as accuracy,
       v.state = 'active' as active,
       r.reason,
       r.created_at,
       r.started_at,
       r.finished_at
from training_run r
left join version v on v.id = r.version_id;

create view activation_status as
select a.at, v.name as version, p.name as previous, a.who, a.why, a.forced
from activation a
join version v on v.id = a.version_id
left join version p on p.id = a.previous_version_id;

-- A chunk counts by what it shows; one that shows nothing yet by what is wanted. So a crawl that
-- was done stays done while it is labelled again.
create or replace view crawl_status as
select cr.id as crawl,
       s.name as source,
       case when cr.state = 'loading' then 'loading'
            when work.open > 0 then 'scoring'
            when work.failed > 0 then 'failed'
            else 'done' end as state,
       (select string_agg(f ->> 'name', ', ') from jsonb_array_elements(cr.files) f) as files,
       cr.read, cr.accepted, cr.duplicate, cr.rejected,
       work.chunks, work.chunks_done, work.labelled, work.failed,
       cr.started_at, work.finished_at,
       cr.repaired,
       work.rescoring
from crawl cr
join source s on s.id = cr.source_id
cross join lateral (
    select count(*) as chunks,
           count(*) filter (where sc.state = 'done') as chunks_done,
           count(*) filter (where sc.state in ('pending', 'running')) as open,
           coalesce(sum(sc.n_labelled), 0)::bigint as labelled,
           coalesce(sum(sc.n_failed), 0)::bigint as failed,
           max(sc.finished_at) as finished_at,
           coalesce(
               sum(c.n_documents) filter (where c.wanted_version_id <> c.current_version_id), 0
           )::bigint as rescoring
    from chunk c
    left join scoring sc on sc.chunk_id = c.id
        and sc.version_id = coalesce(c.current_version_id, c.wanted_version_id)
    where c.crawl_id = cr.id
) work;

create view rescore_status as
select v.name as version,
       count(*) filter (where sc.state in ('pending', 'running')) as chunks,
       coalesce(sum(c.n_documents) filter (where sc.state in ('pending', 'running')), 0)::bigint
           as documents,
       coalesce(sum(c.n_documents) filter (where sc.state = 'failed'), 0)::bigint as failed
from chunk c
join scoring sc on sc.chunk_id = c.id and sc.version_id = c.wanted_version_id
join version v on v.id = c.wanted_version_id
where c.current_version_id <> c.wanted_version_id
group by v.id;
"""

COMMENTS = {
    "column version.verdict": "What the gate said of it; empty: never judged | 심사 결과",
    "column training_run.requested_by": "Who asked for it | 요청한 사람",
    "column training_run.message_id": "The message that asked for it: two of one id are one request"
    " | 요청 메시지 번호",
    "column training_run.progress": "Epoch, step and metrics so far | 진행 상황",
    "column training_run.verdict": "What the gate said, with its reasons | 심사 결과와 이유",
    "column training_run.reason": "Why it is blocked or failed | 막히거나 실패한 이유",
    "column training_run.exit_code": "Of the command that waited for it: 0 published, 1 blocked"
    " | 종료 코드",
    "table activation": "Which version became active when, by whom and why | 모델 교체 이력",
    "column activation.forced": "Against the gate's verdict | 심사 결과를 무시했는지",
    "view training_status": "Each retrain and what came of it | 재학습별 상태와 결과",
    "column training_status.state": "queued, running, blocked, published or failed"
    " | 대기, 학습 중, 차단, 공개, 실패",
    "column crawl_status.rescoring": (
        "Documents to be labelled again by another version; until then their labels stay"
        " | 다른 모델로 다시 분류할 문서(그때까지 지금 감성 유지)"
    ),
    "view rescore_status": (
        "What is left to be labelled again, by version | 모델별로 다시 분류할 나머지"
    ),
    "column rescore_status.failed": "Documents that keep their labels: it failed | 실패한 문서",
    "view activation_status": "Which version was used from when, and why | 모델 교체 이력",
}


def upgrade() -> None:
    """Extend versions and training runs; create activations and both views."""
    op.execute(TABLES)
    op.execute(VIEWS)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: who activated what would be lost."""
    raise NotImplementedError
