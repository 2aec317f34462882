#!/bin/sh
# PostgreSQL: after a wait for an advisory lock, `to_regnamespace` still says that a schema does not exist, while the
# next statement of the same READ COMMITTED transaction sees the row of it in pg_namespace.
#
# Two processes that start at once agree by pg_advisory_xact_lock on who creates the schema. The one that waited asks
# again afterwards whether it exists; in READ COMMITTED, each statement has a new snapshot, so it should. Asked by a
# query of pg_namespace, it does. `to_regnamespace` looks into the cache of the system's catalogue, which remembers that
# there was no such schema, and hears of changes only when a statement locks a table; a wait for an advisory lock, and a
# statement without a table, are no such moments.
#
# Prints both answers; fails when they change. Needs Debian's package postgresql.
set -eu

programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
folder=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then chown -R postgres "$folder"; su postgres -s /bin/sh -c "$1"; else sh -c "$1"; fi; }
trap 'as "$programs/pg_ctl -D $folder/data -m immediate stop" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
as "$programs/initdb -D $folder/data -U postgres --auth=trust" >/dev/null
as "$programs/pg_ctl -D $folder/data -w -l $folder/log -o \"-k $folder -c listen_addresses=''\" start" >/dev/null
ask() { "$programs/psql" -h "$folder" -U postgres -v ON_ERROR_STOP=1 -AtqX "$@"; }

# The first session creates the schema under the lock, and commits two seconds later.
ask -c "BEGIN; SELECT pg_advisory_xact_lock(1); CREATE SCHEMA mine; SELECT pg_sleep(2); COMMIT" >/dev/null &
sleep 1
ask >"$folder/answers" <<'SQL'
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT 'before: ' || coalesce(to_regnamespace('mine')::text, 'none');
SELECT 'waited' FROM (SELECT pg_advisory_xact_lock(1)) AS locked;
SELECT 'to_regnamespace: ' || coalesce(to_regnamespace('mine')::text, 'none');
SELECT 'pg_namespace: ' || count(*) FROM pg_namespace WHERE nspname = 'mine';
COMMIT;
SQL
wait
"$programs/postgres" --version
cat "$folder/answers"
printf '%s\n' 'before: none' waited 'to_regnamespace: none' 'pg_namespace: 1' | diff - "$folder/answers"
