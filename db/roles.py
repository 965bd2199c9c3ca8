"""Who may do what: the roles of the program and their rights, as a table.

Roles belong to the whole server, rights to one database. All roles are groups that nobody can log
in as; the users in them are made by an administrator (`create user ... in role nifos_worker`). It
does not know who connects as whom, nor which databases a user may connect to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, exc, text

from core.errors import DatabaseError
from db.locks import wait_for_migration_lock

OWNER = "nifos_owner"
WORKER = "nifos_worker"
PRODUCER = "nifos_producer"
TRAINER = "nifos_trainer"
READER = "nifos_reader"
ROLES = (OWNER, READER, WORKER, PRODUCER, TRAINER)
GROUPS = (READER, WORKER, PRODUCER, TRAINER)
"""Those with rights of their own. The owner needs none: everything is its."""

# How the work stands: `nifos status` runs as anybody. What is not in here holds what people wrote.
STATE = (
    *("alembic_version", "source", "crawl", "chunk", "scoring", "scoring_daily", "version"),
    *("activation", "training_run", "nightly", "night", "suspect"),
    *("crawl_status", "sentiment_daily", "nightly_status", "training_status"),
    *("activation_status", "rescore_status", "scoring_speed"),
)
CONTENT = ("document", "label", "reject", "document_failure", "annotation", "sentiment")
RELATIONS = (*STATE, *CONTENT)

# Beyond reading STATE. `update (a, b)`: those columns alone.
RIGHTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        READER: dict.fromkeys(CONTENT, ("select",)),
        WORKER: {
            "document": ("select",),
            "label": ("select", "insert"),
            "document_failure": ("select", "insert"),
            "scoring": ("update",),
            "suspect": ("insert", "update", "delete"),
            "scoring_daily": ("insert",),
            "chunk": ("update (current_version_id)",),
        },
        PRODUCER: {
            "source": ("insert", "update (name)"),
            "crawl": ("insert", "update", "delete"),
            "chunk": ("insert", "update (n_documents, wanted_version_id)"),
            "document": ("select", "insert"),
            "reject": ("select", "insert"),
            # It feeds the queue, as a worker does.
            "scoring": ("insert", "update"),
            "suspect": ("insert", "update", "delete"),
            "nightly": ("insert", "delete"),
            "night": ("insert", "update"),
        },
        TRAINER: {
            "document": ("select",),
            "annotation": ("select",),
            "training_run": ("insert", "update"),
            "version": ("insert", "update (state)"),
            "activation": ("insert",),
        },
    }
)

# A right to call. Trigger functions, which act for their owner, are nobody's to call: they need no
# right where they stand, and must not be hung on other tables.
CALLS: Mapping[str, tuple[str, ...]] = MappingProxyType({"hold_active_version()": (PRODUCER,)})

# Made before the roles were; all later ones are the owner's from the start.
FIRST_FUNCTIONS = ("label_ko", "document_chunk_check", "document_stays", "chunk_delete_documents")

INSUFFICIENT_PRIVILEGE = "42501"
ALREADY_THERE = ("42710", "23505")  # duplicate_object, unique_violation: another was faster

Right = tuple[str, str, str, str]
"""Role, relation, what, column or nothing."""


def prepare_roles(connection: Connection) -> None:
    """Make the roles that are lacking, and let the current user act as owner and as reader.

    In a transaction of its own, because roles are the whole server's: others that migrate their
    databases at the same moment wait for its end.

    Raises:
        DatabaseError: the user may not; the message names the statements for one who may.
    """
    wait_for_migration_lock(connection)  # two of one database would change its schema at once
    lacking = list(_lacking(connection))
    for statement in lacking:
        try:
            with connection.begin_nested():
                connection.execute(text(statement))
        except exc.DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if state == INSUFFICIENT_PRIVILEGE:
                raise DatabaseError(
                    "the database's user may not make roles; an administrator of the server runs"
                    f" in this database, once: {' '.join(f'{each};' for each in lacking)}"
                ) from None
            if state not in ALREADY_THERE:
                raise


def _lacking(connection: Connection) -> Iterator[str]:
    there = set(
        connection.scalars(
            text("select rolname from pg_roles where rolname = any(:roles)"),
            {"roles": list(ROLES)},
        )
    )
    yield from (f"create role {role} nologin" for role in ROLES if role not in there)
    may = connection.execute(
        text(
            "select quote_ident(current_user) as me,"
            " owner.oid is not null and pg_has_role(owner.oid, reader.oid, 'set') as read,"
            " owner.oid is not null and pg_has_role(owner.oid, 'set')"
            "  and pg_has_role(owner.oid, 'usage') as own,"
            " owner.oid is not null"
            "  and has_schema_privilege(owner.oid, 'public', 'create')"
            "  and has_schema_privilege(owner.oid, 'public', 'usage') as make"
            " from (select to_regrole(:owner) as oid) owner,"
            "  (select to_regrole(:reader) as oid) reader"
        ),
        {"owner": OWNER, "reader": READER},
    ).one()
    if not may.read:
        yield f"grant {READER} to {OWNER}"
    if not may.own:
        yield f"grant {OWNER} to {may.me}"
    if not may.make:
        yield f"grant create, usage on schema public to {OWNER}"


def let_reader_in(connection: Connection) -> None:
    """Let one connect as the reader itself, on a server that only its user can reach.

    Then there is no other role to go back to, whatever a query does.
    """
    may = text("select rolcanlogin from pg_roles where rolname = :reader")
    if not connection.scalar(may, {"reader": READER}):
        connection.execute(text(f"alter role {READER} login"))


def act_as_owner(connection: Connection) -> None:
    """Do the rest of the transaction as the owner, who has what the current user had before."""
    ours = {"owner": OWNER, "relations": list(RELATIONS), "functions": list(FIRST_FUNCTIONS)}
    for statement in connection.scalars(text(_HAND_OVER), ours).all():
        connection.execute(text(statement))
    connection.execute(text(f"set local role {OWNER}"))


# Databases of before the roles belong to whoever migrated them. A sequence goes with its table.
_HAND_OVER = """
select format('alter %s %s owner to %I', kind, name, cast(:owner as text)) from (
    select case relkind when 'v' then 'view' else 'table' end as kind, oid::regclass::text as name,
           relowner as owner
    from pg_class where relnamespace = 'public'::regnamespace and relname = any(:relations)
    union all
    select 'function', oid::regprocedure::text, proowner
    from pg_proc where pronamespace = 'public'::regnamespace and proname = any(:functions)
    union all
    select 'type', oid::regtype::text, typowner
    from pg_type where typnamespace = 'public'::regnamespace and typname = 'sentiment_label'
) ours
where owner = current_user::regrole and owner <> cast(:owner as regrole)
and to_regclass('public.alembic_version') is not null
"""


def grant_rights(connection: Connection) -> bool:
    """Bring every role's rights on what is there to the table's, no more and no less.

    Args:
        connection: as the owner.

    Returns:
        Whether anything had to be changed.
    """
    there = set(connection.scalars(text(_RELATIONS_THERE)))
    wanted = {right for right in expected_rights() if right[1] in there}
    calls = _open_calls(connection)
    if wanted == current_rights(connection) and not calls:
        return False
    for group in GROUPS:
        connection.execute(text(f"grant usage on schema public to {group}"))
        for name in sorted(there):
            connection.execute(text(f"revoke all on table {name} from {group}"))
            for right in _rights(group, name):
                connection.execute(text(f"grant {right} on table {name} to {group}"))
    for signature in calls:
        connection.execute(text(f"revoke all on function {signature} from public"))
    for signature, callers in CALLS.items():
        for caller in callers:
            connection.execute(text(f"grant execute on function {signature} to {caller}"))
    return True


_RELATIONS_THERE = (
    "select relname from pg_class"
    " where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')"
)


def expected_rights() -> set[Right]:
    """The table, a right each."""
    expected = set()
    for group in GROUPS:
        for name in RELATIONS:
            for right in _rights(group, name):
                what, _, columns = right.partition(" (")
                for column in columns.rstrip(")").split(", "):
                    expected.add((group, name, what, column))
    return expected


def _rights(group: str, name: str) -> tuple[str, ...]:
    beyond = RIGHTS[group].get(name, ())
    return ("select", *beyond) if name in STATE else beyond


def current_rights(connection: Connection) -> set[Right]:
    """What the roles may do with the relations that are there, by the database's own books."""
    rows = connection.execute(
        text(
            "select r.rolname, held.relname, lower(held.privilege_type), held.attname from ("
            " select c.relname, '' as attname, a.grantee, a.privilege_type"
            " from pg_class c, aclexplode(c.relacl) a"
            " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')"
            " union all"
            " select c.relname, t.attname, a.grantee, a.privilege_type"
            " from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a"
            " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')"
            ") held join pg_roles r on r.oid = held.grantee where r.rolname = any(:groups)"
        ),
        {"groups": list(GROUPS)},
    )
    return {(role, relation, what, column) for role, relation, what, column in rows}


def _open_calls(connection: Connection) -> list[str]:
    """Functions of ours that anybody may call and nobody should."""
    return list(
        connection.scalars(
            text(
                "select p.oid::regprocedure::text from pg_proc p"
                " where p.pronamespace = 'public'::regnamespace"
                " and p.proowner = cast(:owner as regrole)"
                " and (p.prorettype = 'trigger'::regtype or p.oid::regprocedure::text = any(:ours))"
                " and exists (select from"
                "  aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
                "  where a.grantee = 0)"
            ),
            {"owner": OWNER, "ours": list(CALLS)},
        )
    )
