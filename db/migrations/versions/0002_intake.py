"""Intake: repairs counted, other columns kept, rejects to mend, chunks checked by the slice."""

from alembic import op

from db.migrations.explain import explain

revision = "0002"
down_revision = "0001"

TABLES = """
alter table crawl add column repaired bigint not null default 0
    constraint crawl_repaired_are_accepted check (repaired between 0 and accepted);

alter table document add column extra jsonb;

alter table reject add column external_id text;
alter table reject add column held_whole boolean not null default true;
"""

# A foreign key asks its question once a row, and half the time of a load went there
# (docs/decisions/0004). These ask it once a statement: the same rules under the same names.
DOCUMENT_CHUNK = """
alter table document drop constraint document_chunk_fk;
alter table document drop constraint document_source_fk;

create function document_chunk_check() returns trigger language plpgsql as $$
begin
    perform from (select distinct chunk_id, source_id from added) a
    where not exists (
        select from chunk c join crawl r on r.id = c.crawl_id
        where c.id = a.chunk_id and r.source_id = a.source_id
        for key share of c
    );
    if found then
        raise foreign_key_violation
            using constraint = 'document_chunk_fk',
                  message = 'a document needs a chunk of its source';
    end if;
    return null;
end $$;

create trigger document_chunk_fk after insert on document
    referencing new table as added
    for each statement execute function document_chunk_check();

create function document_stays() returns trigger language plpgsql as $$
begin
    raise restrict_violation
        using constraint = 'document_stays', message = 'a document belongs to one chunk for ever';
end $$;

create trigger document_stays before update of chunk_id, source_id on document
    for each row when (old.chunk_id <> new.chunk_id or old.source_id <> new.source_id)
    execute function document_stays();

create function chunk_delete_documents() returns trigger language plpgsql as $$
begin
    delete from document d using gone g where d.chunk_id = g.id;
    return null;
end $$;

create trigger chunk_delete_documents after delete on chunk
    referencing old table as gone
    for each statement execute function chunk_delete_documents();
"""

VIEWS = """
create or replace view sentiment as
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
       v.name as version,
       d.extra
from document d
join chunk c on c.id = d.chunk_id
join label l on l.document_id = d.id and l.version_id = c.current_version_id
join version v on v.id = l.version_id
join source s on s.id = d.source_id;

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
       cr.repaired
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
    "column sentiment.extra": "Other columns that were kept (--keep) | 함께 보관한 열(--keep)",
    "column crawl_status.repaired": (
        "Accepted rows out of which something that cannot be stored was taken (NUL, half a "
        "surrogate pair) | 저장할 수 없는 문자(NUL, 깨진 문자)를 덜어 내고 받은 행"
    ),
    "column reject.held": "The row as it was, up to 4 KiB | 받지 못한 행의 내용(4 KiB까지)",
    "column reject.held_whole": "False: it was longer | 거짓이면 잘린 것",
}


def upgrade() -> None:
    """Change what intake writes."""
    for block in (TABLES, DOCUMENT_CHUNK, VIEWS):
        op.execute(block)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: what was counted and kept would be lost."""
    raise NotImplementedError
