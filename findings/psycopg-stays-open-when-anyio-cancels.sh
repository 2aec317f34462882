#!/bin/sh
# psycopg 3.3.9: `async with` leaves the connection open if an anyio cancel scope ends the block; asyncio's own
# cancellation closes it, and so did psycopg 3.3.4 in both cases.
#
# On the way out, psycopg rolls back before it closes. On an idle connection there is nothing to roll back, so nothing
# used to be awaited. Now a wait that ends at once lets other tasks run if the loop was not yielded to for 5 ms. asyncio
# cancels once, so this passes. anyio cancels each await in the cancelled scope, so this one is cancelled too, and the
# close after it is never reached. Only the garbage collector closes the connection, with a ResourceWarning; a block that
# was itself waiting for the database has yielded just before, which is why it shows up once in hundreds of times.
#
# Prints whether the connection was closed; fails when that changes. Needs Debian's package postgresql.
set -eu

programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
folder=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c "$1"; else sh -c "$1"; fi; }
trap 'as "$programs/pg_ctl -D $folder/db/data -m immediate stop" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
mkdir "$folder/db"
if [ "$(id -u)" = 0 ]; then chown postgres "$folder/db"; fi
as "$programs/initdb -D $folder/db/data -U postgres --auth=trust" >/dev/null
as "$programs/pg_ctl -D $folder/db/data -w -l $folder/db/log -o \"-k $folder/db -c listen_addresses=''\" start" >/dev/null
cat >"$folder/leave.py" <<'PY'
import asyncio
import sys

import anyio
import psycopg


async def wait_inside(connection: psycopg.AsyncConnection) -> None:
    async with connection:
        await asyncio.sleep(60)


async def cancel_by_asyncio(connection: psycopg.AsyncConnection) -> None:
    task = asyncio.create_task(wait_inside(connection))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.wait([task])


async def cancel_by_anyio(connection: psycopg.AsyncConnection) -> None:
    with anyio.move_on_after(0.2):
        await wait_inside(connection)


async def main() -> None:
    for cancel in (cancel_by_asyncio, cancel_by_anyio):
        connection = await psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True)
        await cancel(connection)
        print(psycopg.__version__, cancel.__name__, "closed" if connection.closed else "open")
        await connection.close()


asyncio.run(main())
PY
for version in 3.3.4 3.3.9; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "psycopg[binary]==$version" anyio==4.11.0
    "$folder/$version/bin/python" "$folder/leave.py" "host=$folder/db user=postgres"
done | tee "$folder/answers"
diff - "$folder/answers" <<'EXPECTED'
3.3.4 cancel_by_asyncio closed
3.3.4 cancel_by_anyio closed
3.3.9 cancel_by_asyncio closed
3.3.9 cancel_by_anyio open
EXPECTED
