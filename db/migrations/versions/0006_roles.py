"""What the roles need: rights themselves are granted by `db.roles` after every migration."""

from alembic import op

revision = "0006"
down_revision = "0005"

# To lock a row takes the right to change it, which a producer must not have over versions.
HOLD_ACTIVE_VERSION = """
create function hold_active_version() returns table (id bigint, name text)
    language sql volatile security definer set search_path = pg_catalog, pg_temp
    begin atomic
        select v.id, v.name from public.version v where v.state = 'active' for share;
    end;
comment on function hold_active_version() is
    'The active version, kept from being exchanged until the transaction ends | 사용 중인 모델';
"""

# Whoever may delete a crawl deletes its documents by it, and needs no right over any others.
DELETE_DOCUMENTS = """
alter function chunk_delete_documents() security definer;
alter function chunk_delete_documents() set search_path = pg_catalog, public, pg_temp;
"""

# What 0001 promised the reader of every later table is in the roles' table now.
READER = "alter default privileges in schema public revoke select on tables from nifos_reader"


def upgrade() -> None:
    """Two functions that act for those who may do no more than that."""
    for block in (HOLD_ACTIVE_VERSION, DELETE_DOCUMENTS, READER):
        op.execute(block)


def downgrade() -> None:
    """Refuse: a database is not taken back."""
    raise NotImplementedError
