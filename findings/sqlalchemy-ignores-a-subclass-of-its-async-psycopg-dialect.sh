#!/bin/sh
# SQLAlchemy 2.1.9: a registered subclass of the async psycopg dialect is silently replaced by the dialect itself.
#
# A dialect that is registered with `sqlalchemy.dialects.registry` is used for the URLs that name it; a subclass of the
# dialect for aiosqlite or asyncpg is. psycopg serves both engines under one name, so its dialects have a hook that
# returns the class for `create_async_engine()`, and the async class inherits the hook: it answers with SQLAlchemy's own
# class, whatever the subclass is. No method that the subclass overrides is ever called, and nothing is said. It has to
# override `get_async_dialect_cls()` to return itself.
#
# Prints the class of the dialect of each engine; no database is needed. Fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    'sqlalchemy[asyncio]==2.1.9' aiosqlite==0.22.1 asyncpg==0.31.0 'psycopg[binary]==3.3.4'
cat >"$folder/dialects.py" <<'PY'
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import create_async_engine


class OfAiosqlite(SQLiteDialect_aiosqlite):
    supports_statement_cache = True


class OfAsyncpg(PGDialect_asyncpg):
    supports_statement_cache = True


class OfPsycopg(PGDialectAsync_psycopg):
    supports_statement_cache = True


class OfPsycopgWithHook(OfPsycopg):
    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: sa.URL) -> type:
        return cls


for url, dialect in {
    "sqlite+mine:///birds.sqlite3": OfAiosqlite,
    "postgresql+mine1://localhost/birds": OfAsyncpg,
    "postgresql+mine2://localhost/birds": OfPsycopg,
    "postgresql+mine3://localhost/birds": OfPsycopgWithHook,
}.items():
    sa.dialects.registry.register(url.partition(":")[0].replace("+", "."), __name__, dialect.__name__)
    print(f"{dialect.__name__}: {type(create_async_engine(url).dialect).__name__}")
PY
seen=$(cd "$folder" && venv/bin/python -c 'import dialects')
echo "$seen"
[ "$seen" = "OfAiosqlite: OfAiosqlite
OfAsyncpg: OfAsyncpg
OfPsycopg: PGDialectAsync_psycopg
OfPsycopgWithHook: OfPsycopgWithHook" ]
