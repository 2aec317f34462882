#!/bin/sh
# SQLAlchemy 2.1.9: `insert=True` is ignored, without a word, for events of a dialect such as `do_connect`.
#
# The first listener of `do_connect` that returns a connection is the last one that is called. So whoever wants to
# prepare something before, though another module has registered such a listener already, listens with `insert=True`,
# as for any event. For the events of a pool, the new listener is then called first. For those of a dialect, it stays
# the last one, so that it is never called, and nothing says so: `DialectEvents._listen` passes the option to nobody.
#
# Prints the order of the calls for both; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlalchemy==2.1.9
cat >"$folder/order.py" <<'PY'
import sqlalchemy as sa

calls = []
engine = sa.create_engine("sqlite://")


@sa.event.listens_for(engine, "do_connect")
def connect(dialect, record, arguments, named):
    calls.append("do_connect: registered first")
    return dialect.connect(*arguments, **named)


@sa.event.listens_for(engine, "do_connect", insert=True)
def prepare(dialect, record, arguments, named):
    calls.append("do_connect: with insert=True")


@sa.event.listens_for(engine.pool, "checkout")
def count(connection, record, proxy):
    calls.append("checkout: registered first")


@sa.event.listens_for(engine.pool, "checkout", insert=True)
def look(connection, record, proxy):
    calls.append("checkout: with insert=True")


with engine.connect():
    print(*calls, sep="\n")
PY
"$folder/venv/bin/python" "$folder/order.py" | tee "$folder/seen"
cat >"$folder/expected" <<'END'
do_connect: registered first
checkout: with insert=True
checkout: registered first
END
cmp "$folder/seen" "$folder/expected"
