#!/bin/sh
# SQLAlchemy 2.1.9 on aiosqlite 0.22.1: one SELECT is six calls in aiosqlite's thread; only one of them reads the file.
#
# aiosqlite runs each call of a connection or cursor in the connection's own thread, so each is a queue, two switches
# between threads and a wake-up of the event loop. One might expect one such call for a query. SQLAlchemy's dialect opens
# a cursor, executes, fetches and closes; `begin()` then commits although Python's sqlite3 begins no transaction for a
# SELECT; and the pool rolls back when the connection returns, also after that commit. `execute_fetchall()` of aiosqlite
# alone is one call. For the small queries of a local application the calls cost more than the queries.
#
# A connection class that answers most of these calls by itself can be given as `async_creator_fn` in `connect_args`.
#
# Prints the calls in the thread, as aiosqlite's own log names them; fails when they change.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'sqlalchemy[asyncio]==2.1.9' aiosqlite==0.22.1
cat >"$folder/calls.py" <<'PY'
import asyncio
import logging
import re
import sys

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

calls: list[str] = []


class Calls(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("executing"):
            calls.append(re.search(r"(?:method|method-wrapper|function) '?(?:[\w.]+\.)?(\w+)", text).group(1))


async def main(path: str) -> None:
    logging.getLogger("aiosqlite").setLevel(logging.DEBUG)
    logging.getLogger("aiosqlite").addHandler(Calls())
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE birds (name TEXT)"))
    calls.clear()
    async with engine.begin() as connection:
        (await connection.execute(sa.text("SELECT name FROM birds"))).all()
    print("SQLAlchemy:", *calls)
    await engine.dispose()
    async with aiosqlite.connect(path) as plain:
        calls.clear()
        await plain.execute_fetchall("SELECT name FROM birds")
        print("aiosqlite alone:", *calls)


asyncio.run(main(sys.argv[1]))
PY
seen=$("$folder/venv/bin/python" "$folder/calls.py" "$folder/birds.sqlite3")
echo "$seen"
[ "$seen" = "SQLAlchemy: cursor execute fetchall close commit rollback
aiosqlite alone: _execute_fetchall" ]
