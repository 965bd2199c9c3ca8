"""What a worker measured of a chunk, and what computed it; labels checked by the statement."""

from alembic import op

from db.migrations.explain import explain

revision = "0005"
down_revision = "0004"

TABLES = """
alter table scoring add column engine text;
alter table scoring add column precision text;
alter table scoring add column machine text;
"""

# Two foreign keys asked their questions once a row, and that was two thirds of the time of writing
# labels (docs/decisions/0012). These ask once a statement: the same rules under the same names.
# Scans are off, because a plan that was made while `document` was small would be kept while it
# grows. They run as their owner, as foreign keys do: who writes labels needs no right to lock.
#
# A chunk that is being deleted cannot lose documents under a label that is being written: its
# scorings go first, and the row that the fence holds makes the deletion wait.
LABEL_KEYS = """
alter table label drop constraint label_document_fk;
alter table label drop constraint label_version_fk;

create function label_check() returns trigger language plpgsql
    security definer set search_path = public, pg_temp set enable_seqscan = off as $$
begin
    perform from added a
    where (select d.id from document d where d.id = a.document_id) is null;
    if found then
        raise foreign_key_violation
            using constraint = 'label_document_fk', message = 'a label needs a document';
    end if;
    perform from (select distinct version_id from added) a
    where not exists (select from version v where v.id = a.version_id for key share of v);
    if found then
        raise foreign_key_violation
            using constraint = 'label_version_fk', message = 'a label needs a version';
    end if;
    return null;
end $$;

create trigger label_keys_on_insert after insert on label
    referencing new table as added
    for each statement execute function label_check();
create trigger label_keys_on_update after update on label
    referencing new table as added
    for each statement execute function label_check();

create function document_delete_labels() returns trigger language plpgsql
    security definer set search_path = public, pg_temp set enable_seqscan = off as $$
begin
    delete from label l using gone g where l.document_id = g.id;
    return null;
end $$;

create trigger document_delete_labels after delete on document
    referencing old table as gone
    for each statement execute function document_delete_labels();

create function version_stays() returns trigger language plpgsql
    security definer set search_path = public, pg_temp as $$
begin
    perform from label where version_id = old.id limit 1;
    if found then
        raise foreign_key_violation
            using constraint = 'label_version_fk', message = 'labels are of this version';
    end if;
    return null;
end $$;

create trigger version_stays after delete on version
    for each row execute function version_stays();
"""

# One row a chunk that was labelled. `seconds` is the sum of what was measured, so that what is
# between the parts (and between the chunks) shows as the gap to finished_at.
VIEWS = """
create view scoring_speed as
select sc.chunk_id as chunk,
       c.crawl_id as crawl,
       s.name as source,
       v.name as version,
       sc.started_at,
       sc.finished_at,
       sc.n_labelled as documents,
       m.texts,
       m.tokens,
       m.padded_tokens,
       round((sc.n_labelled / nullif(m.seconds, 0))::numeric, 1) as documents_per_s,
       round((m.tokens / nullif(m.seconds, 0))::numeric, 1) as tokens_per_s,
       round(1 - m.tokens::numeric / nullif(m.padded_tokens, 0), 4) as padding_share,
       m.read_s, m.prepare_s, m.tokenize_s, m.compute_s, m.write_s,
       round(m.seconds::numeric, 4) as seconds,
       sc.engine,
       sc.precision,
       sc.machine,
       sc.attempt
from scoring sc
cross join lateral (
    select t.*, coalesce(t.read_s, 0) + coalesce(t.predict_s, 0) + coalesce(t.write_s, 0) as seconds
    from jsonb_to_record(sc.timings) as t (
        texts integer, tokens bigint, padded_tokens bigint,
        read_s double precision, predict_s double precision, prepare_s double precision,
        tokenize_s double precision, compute_s double precision, write_s double precision)
) m
join chunk c on c.id = sc.chunk_id
join crawl cr on cr.id = c.crawl_id
join source s on s.id = cr.source_id
join version v on v.id = sc.version_id
where sc.state = 'done';
"""

COMMENTS = {
    "column scoring.engine": "What computed it: torch or openvino | 계산에 쓴 엔진",
    "column scoring.precision": "fp32, bf16, fp16 or int8 | 계산 정밀도",
    "column scoring.machine": "The host of the worker that did it | 작업한 컴퓨터",
    "view scoring_speed": "How fast each chunk was labelled, and where its time went | "
    "묶음별 처리 속도와 시간 내역",
    "column scoring_speed.documents": "Documents that got labels | 분류한 문서 수",
    "column scoring_speed.texts": "Different texts among them: each is computed once | "
    "서로 다른 본문 수(같은 글은 한 번만 계산)",
    "column scoring_speed.tokens": "Tokens computed, padding not counted | "
    "계산한 토큰 수(패딩 제외)",
    "column scoring_speed.padded_tokens": "Places computed, padding and all | "
    "패딩까지 계산한 자리 수",
    "column scoring_speed.documents_per_s": "By one process of a worker | "
    "프로세스 하나의 초당 문서 수",
    "column scoring_speed.tokens_per_s": "By one process of a worker | "
    "프로세스 하나의 초당 토큰 수",
    "column scoring_speed.padding_share": "Of the computed places, 0 to 1, that were padding | "
    "계산 중 패딩의 비율(0~1)",
    "column scoring_speed.read_s": "Seconds to read the texts from PostgreSQL | "
    "본문을 읽은 시간(초)",
    "column scoring_speed.prepare_s": "Seconds to clean the texts | 본문을 다듬은 시간(초)",
    "column scoring_speed.tokenize_s": "Seconds to cut them into tokens | 토큰으로 나눈 시간(초)",
    "column scoring_speed.compute_s": "Seconds in the model | 모델이 계산한 시간(초)",
    "column scoring_speed.write_s": "Seconds to write labels and counts, COMMIT not counted | "
    "감성과 집계를 쓴 시간(초, 커밋 제외)",
    "column scoring_speed.seconds": "All that was measured; finished_at - started_at less this "
    "is waiting | 잰 시간의 합(초). 시작부터 끝까지에서 이를 빼면 기다린 시간",
    "column scoring_speed.attempt": "Over 1: it was begun before, and broke off | "
    "1보다 크면 앞선 시도가 끊긴 것",
}


def upgrade() -> None:
    """Change what a worker writes."""
    for block in (TABLES, LABEL_KEYS, VIEWS):
        op.execute(block)
    explain(COMMENTS)


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
