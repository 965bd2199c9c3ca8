-- Run once by the postgres service when its volume is new, and by hand afterwards, as often as
-- wanted:  docker compose exec postgres psql -U nifos -f /docker-entrypoint-initdb.d/users.sql
--
-- The roles are those of `nifos migrate` (db/roles.py), which grants them their rights; here are
-- the users in them, whose passwords come from the environment. Each service connects as its own.

\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv producer_password PRODUCER_PASSWORD
\getenv trainer_password TRAINER_PASSWORD
\getenv reader_password READER_PASSWORD

select format('create role %I nologin', role)
from unnest(array['nifos_owner', 'nifos_reader', 'nifos_worker', 'nifos_producer', 'nifos_trainer'])
    as role
where to_regrole(role) is null \gexec
grant nifos_reader to nifos_owner;
grant create, usage on schema public to nifos_owner;

select format('create user %I in role %I', name, 'nifos_' || name)
from unnest(array['owner', 'worker', 'producer', 'trainer', 'reader']) as name
where to_regrole(quote_ident(name)) is null \gexec
alter user owner password :'owner_password';
alter user worker password :'worker_password';
alter user producer password :'producer_password';
alter user trainer password :'trainer_password';
alter user reader password :'reader_password';

-- The database is the program's own: nobody else comes in, nobody makes temporary tables.
select format('revoke all on database %I from public', current_database()) \gexec
select format('grant connect on database %I to nifos_owner, nifos_worker, nifos_producer,'
    ' nifos_trainer, nifos_reader', current_database()) \gexec

-- Advisory locks say who feeds, loads and migrates. Who only reads must not be able to hold one.
select format('revoke execute on function %s from public', oid::regprocedure)
from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ 'advisory' \gexec
select format('grant execute on function %s to nifos_owner, nifos_worker, nifos_producer,'
    ' nifos_trainer', oid::regprocedure)
from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ 'advisory' \gexec
