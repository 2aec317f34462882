"""The ledger's tables in their newest version; whoever changes a table must also add a revision (`migrations/`).

SQLite and PostgreSQL have the same tables. This module and `expressions.py` have all that differs in their SQL.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

metadata = sa.MetaData()

NEWEST = "0008"
"""The newest revision in `migrations/versions/`: the version of the tables in this module."""
LATEST = 253_402_214_400.0
"""The beginning of the last day of 9999 in seconds since 1970, because `datetime` cannot express later years."""
LISTED = f"CASE WHEN created BETWEEN 0 AND {LATEST} THEN created ELSE 0.0 END"
"""SQL of the time by which tasks are listed."""
BROKEN = object()
"""The value of a JSON column whose text is no JSON."""


class Revision(sa.TypeDecorator[str]):
    """Alembic's name of a version, such as `0005`; the column has it as a number."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: str | None, _: sa.Dialect) -> int:
        """Return the number."""
        return int(value or 0)

    def process_result_value(self, value: int | None, _: sa.Dialect) -> str:
        """Return the name."""
        return f"{value or 0:04}"


class _JsonText(sa.types.UserDefinedType[str]):
    """SQLite's name of the type of a column with JSON, which is a text."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"


class Json(sa.TypeDecorator[Any]):
    """A value that is stored as JSON in a text column, also in PostgreSQL, whose JSON type refuses NUL."""

    impl = sa.Text().with_variant(_JsonText(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str:
        """Return the JSON of a value."""
        return json.dumps(value)

    def process_result_value(self, value: str | None, _: sa.Dialect) -> Any:
        """Return the value of some JSON, or `BROKEN`."""
        return None if value is None else parse_json(value)


def parse_json(text: Any) -> Any:
    """Parse the JSON of a column; return `BROKEN` if it is none, because one broken row must not end the query."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return BROKEN


@compiles(sa.Computed, "postgresql")
def _store_computed(column: sa.Computed, *_: object, **__: object) -> str:
    # Before its version 18, PostgreSQL has no computed column that is not stored.
    return f"GENERATED ALWAYS AS ({column.sqltext}) STORED"


versions = sa.Table("ledger", metadata, sa.Column("version", Revision, key="version_num", nullable=False))
"""The version of all tables; this table has one row. Alembic reads and writes it as its version table."""

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kie_id", sa.Text, index=True),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("arguments", Json, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("finished", sa.Float),
    sa.Column("estimate", Json),
    sa.Column("credits", sa.Float),
    sa.Column("results", Json, nullable=False),
    sa.Column("texts", Json, nullable=False),
    sa.Column("error", Json),
    sa.Column("saved", sa.Boolean, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("request", Json),
    sa.Column("basis", sa.Text, nullable=False, server_default=""),
    sa.Column("reserved", sa.Float, nullable=False, server_default="0"),
    sa.Column("tariff", sa.Text, nullable=False, server_default=""),
    sa.Column("units", sa.Float, nullable=False, server_default="1"),
    sa.Column("balance", sa.Float),
    sa.Column("fingerprint", sa.Text, nullable=False, server_default="", index=True),
    sa.Column("session", sa.Text, nullable=False, server_default=""),
    sa.Column("watcher", sa.Text),
    sa.Column("cancelled", sa.Float),
    sa.Column("seconds", sa.Float),
    sa.Column("number", sa.Integer, index=True),
    sa.Column("listed", sa.Float, sa.Computed(LISTED, persisted=False)),
    sa.Column("parent", sa.Text),
    sa.Column("confirmed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("ix_tasks_model_state_finished", "model", "state", "finished"),
    sa.Index("ix_tasks_model_tariff_finished", "model", "tariff", "finished"),
    sa.Index("ix_tasks_listed", "listed", "id"),
    sa.Index("ix_tasks_state_listed", "state", "listed", "id"),
    sa.Index("ix_tasks_finished", "finished"),
    sa.Index("ix_tasks_session", "session"),
)
"""The paid tasks, one row each; a column has the name of an attribute of `Task`, except those in `rows.py`.

The column `number` counts the tasks in the order in which they were recorded; `prompts.py` finds tasks by it. `listed`
is `created`, or 0 in a row whose time is broken; lists have this order.
"""
IS_PART = sa.text("parent IS NOT NULL")
"""The SQL condition of the rows in `parts_index`."""
parts_index = sa.Index("ix_tasks_parent", tasks.c.parent, sqlite_where=IS_PART)
"""The index of the parts of wholes. Its condition in PostgreSQL is in `postgresql.py`: here, it would make every server
import SQLAlchemy's modules for PostgreSQL.
"""
IS_NO_PART = tasks.c.parent.is_(None)
"""An SQL condition that leaves out the parts of wholes: a whole counts what its parts cost."""

prompts = sa.table("prompts", sa.column("rowid", sa.Integer), sa.column("prompt", sa.Text))
"""The index of the prompts, as `prompts.py` says; `rowid` is the number of a task."""
_MORE = {
    "sqlite": ("CREATE VIRTUAL TABLE prompts USING fts5 (prompt, content='', tokenize='trigram case_sensitive 1')",),
    "postgresql": (
        "CREATE TABLE prompts (rowid INTEGER PRIMARY KEY, prompt TEXT NOT NULL)",
        "CREATE INDEX ix_prompts_prompt ON prompts USING gin (prompt gin_trgm_ops)",
        # This notifies all processes of the task that has changed; the channel has the name of the schema.
        """CREATE FUNCTION notify_task() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_notify(TG_TABLE_SCHEMA, NEW.id); RETURN NULL; END $$""",
        """CREATE TRIGGER notify_task AFTER UPDATE ON tasks FOR EACH ROW
            WHEN ((OLD.state, OLD.saved, OLD.note) IS DISTINCT FROM (NEW.state, NEW.saved, NEW.note))
            EXECUTE FUNCTION notify_task()""",
    ),
}
"""For each kind of database, the SQL statements that create what SQLAlchemy cannot describe."""


@sa.event.listens_for(metadata, "after_create")
def _create_more(_: sa.MetaData, connection: sa.Connection, **__: object) -> None:
    """Create what belongs to the tables and SQLAlchemy cannot describe."""
    for statement in _MORE[connection.dialect.name]:
        connection.execute(sa.text(statement))


uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("size", sa.Integer().with_variant(sa.BigInteger, "postgresql")),
    sa.Column("mime_type", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
"""The files that were uploaded to KIE, one row each; `expires` is the time until which KIE keeps the file."""

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alive_until", sa.Float, nullable=False),
)
"""The leases of server processes, one row each; a process counts as alive until `alive_until`."""

creates = sa.Table(
    "creates",
    metadata,
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""The last create requests, one row each, for the rate limit; `at` is the time when the slot was acquired."""

confirmations = sa.Table(
    "confirmations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
"""The confirmation ids that no create has used up, one row each.

`fingerprint` is the idempotency key of the call that the id confirms.
"""

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("mark", sa.Text, primary_key=True, index=True),
)
"""What users have marked tasks with, one row for each mark of a task; see `marks.py`."""
reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("credits", sa.Float, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False, index=True),
)
"""What the paid tasks of all tenants cost or may cost, one row each, in the ledger that the tenants have in common.

`id` is the task's id in the ledger of its tenant, and `holder` the process that runs the tenant's tasks.
"""
keys = sa.Table(
    "keys",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("ciphertext", sa.Text, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
)
"""The KIE keys that people have stored, one row for each tenant, encrypted with keys that are not in the database."""
