"""The ledger's tables in their newest version; each change here also needs a revision in `migrations/versions/`.

SQLite and PostgreSQL have the same tables. Where their SQL differs, the difference is in this module or in
`expressions.py`.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from kie_mcp.ledger.spending_triggers import CREATE_TRIGGERS

metadata = sa.MetaData()

NEWEST = "0010"
"""The newest revision in `migrations/versions/`: the version of the tables in this module."""
LATEST = 253_402_214_400.0
"""Latest valid time, in seconds since 1970: the start of the last day of 9999, as `datetime` has no later years."""
LISTED = f"CASE WHEN created BETWEEN 0 AND {LATEST} THEN created ELSE 0.0 END"
"""SQL of the column `listed`, by which lists of tasks are sorted: the time `created`, or 0 if this time is invalid."""
BROKEN = object()
"""The value of a JSON column whose text is not valid JSON."""


class Revision(sa.TypeDecorator[str]):
    """Column type for Alembic's name of a version, such as `0005`, which is stored as a number, such as 5."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: str | None, _: sa.Dialect) -> int:
        """Return the number that is stored for a name."""
        return int(value or 0)

    def process_result_value(self, value: int | None, _: sa.Dialect) -> str:
        """Return the name for a stored number."""
        return f"{value or 0:04}"


class _JsonText(sa.types.UserDefinedType[str]):
    """A text column whose type is named `JSON` in SQLite's table definition."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"


class Json(sa.TypeDecorator[Any]):
    """Column type for values stored as JSON text; PostgreSQL's JSON type is not used, because it refuses NULs."""

    impl = sa.Text().with_variant(_JsonText(), "sqlite")
    cache_ok = True

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str:
        """Return the JSON text that is stored for a value."""
        return json.dumps(value)

    def process_result_value(self, value: str | None, _: sa.Dialect) -> Any:
        """Return the value of a stored JSON text; `BROKEN` if the text is invalid, None if the column is NULL."""
        return None if value is None else parse_json(value)


def parse_json(text: Any) -> Any:
    """Parse the JSON text of a column; return `BROKEN` for invalid JSON, so that the query does not fail."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return BROKEN


@compiles(sa.Computed, "postgresql")
def _store_computed(column: sa.Computed, *_: object, **__: object) -> str:
    # PostgreSQL before version 18 can only store computed columns; it cannot compute them in each query.
    return f"GENERATED ALWAYS AS ({column.sqltext}) STORED"


versions = sa.Table("ledger", metadata, sa.Column("version", Revision, key="version_num", nullable=False))
"""Alembic's version table: its only row has the version of all tables."""

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
    sa.Column("day", sa.Text),
    sa.Index("ix_tasks_model_state_finished", "model", "state", "finished"),
    sa.Index("ix_tasks_model_tariff_finished", "model", "tariff", "finished"),
    sa.Index("ix_tasks_listed", "listed", "id"),
    sa.Index("ix_tasks_state_listed", "state", "listed", "id"),
    sa.Index("ix_tasks_state_finished", "state", "finished"),
    sa.Index("ix_tasks_finished", "finished"),
    sa.Index("ix_tasks_session", "session"),
    sa.Index("ix_tasks_day", "day", "created"),
)
"""The paid tasks, one row each.

Each column has the name of an attribute of `Task`; the exceptions are `COLUMN_NAMES` and `NOT_IN_TASK` in `rows.py`.
The column `number` is the running number of a task, in the order of recording; the index of the prompts uses it. The
column `listed` is the sort key of lists: the time `created`, or 0 if this time is invalid. The column `day` is the
local day of the time `created` if the task has ended; NULL means that the task is not in the sums of `spending`.
"""
IS_PART = sa.text("parent IS NOT NULL")
"""The SQL condition for tasks that are parts of a parent task."""
parts_index = sa.Index("ix_tasks_parent", tasks.c.parent, sqlite_where=IS_PART)
"""Index that finds the parts of a parent task; it contains only the rows that are parts (`IS_PART`).

`sqlite_where` sets this condition for SQLite. For PostgreSQL, `postgresql.py` sets the condition, because setting it
here would import SQLAlchemy's PostgreSQL modules in every server.
"""
IS_NO_PART = tasks.c.parent.is_(None)
"""The SQL condition that leaves out parts, because the row of their parent task includes their cost."""

prompts = sa.Table("prompts", sa.MetaData(), sa.Column("rowid", sa.Integer), sa.Column("prompt", sa.Text))
"""The index of the prompts (see `search_index.py`); `rowid` is the task's `number`.

SQLAlchemy does not create this table, so it is not in `metadata`; the statements in `_EXTRA_STATEMENTS` create it.
"""
sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
)
"""The sources of tasks: the arguments of the task with the number `number` name the task with the id `source`.

`source` is either the ledger's id or KIE's id.
"""

spending = sa.Table(
    "spending",
    metadata,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("refused", sa.Boolean, primary_key=True),
    sa.Column("known", sa.Boolean, primary_key=True),
    sa.Column("free", sa.Boolean, primary_key=True),
    sa.Column("tasks", sa.Integer, nullable=False),
    sa.Column("charged", sa.Float, nullable=False),
    sa.Column("reserved", sa.Float, nullable=False),
)
"""Sums over the tasks whose column `day` is set; each row is for the tasks with equal values in the primary key.

`known` says whether the charges of the tasks are known, and `free` whether they are known to be 0. `day`, `model` and
`kind` are columns of `tasks`; the other columns are described in `Spending`. Only the triggers of the table `tasks`
write this table, in the transaction that changes a task. So the sums stay right even if an older kie-mcp changes tasks.
"""
_EXTRA_STATEMENTS = {
    "sqlite": (
        "CREATE VIRTUAL TABLE prompts USING fts5 (prompt, content='', tokenize='trigram case_sensitive 1')",
        *CREATE_TRIGGERS["sqlite"],
    ),
    "postgresql": (
        "CREATE TABLE prompts (rowid INTEGER PRIMARY KEY, prompt TEXT NOT NULL)",
        "CREATE INDEX ix_prompts_prompt ON prompts USING gin (prompt gin_trgm_ops)",
        # This function sends the id of a changed task to all processes that listen on the channel of the schema.
        """CREATE FUNCTION notify_task() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_notify(TG_TABLE_SCHEMA, NEW.id); RETURN NULL; END $$""",
        """CREATE TRIGGER notify_task AFTER UPDATE ON tasks FOR EACH ROW
            WHEN ((OLD.state, OLD.saved, OLD.note) IS DISTINCT FROM (NEW.state, NEW.saved, NEW.note))
            EXECUTE FUNCTION notify_task()""",
        *CREATE_TRIGGERS["postgresql"],
    ),
}
"""For each kind of database, SQL statements for objects that SQLAlchemy cannot create from table definitions."""


@sa.event.listens_for(metadata, "after_create")
def _create_more(_: sa.MetaData, connection: sa.Connection, **__: object) -> None:
    """Create the objects in `_EXTRA_STATEMENTS`, after SQLAlchemy has created the tables."""
    for statement in _EXTRA_STATEMENTS[connection.dialect.name]:
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
"""The files that were uploaded to KIE, one row each; KIE keeps a file until the time `expires`."""

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

reads = sa.Table(
    "reads",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("leased", sa.Float, nullable=False, server_default="0"),
)
"""The slots for status reads, one row each, for the rate limit.

`holder` is the id of the process (or of a part of it) that leased the slot last. This lease was made at the time
`leased` and ends at the time `until`.
"""

confirmations = sa.Table(
    "confirmations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
"""The confirmation ids that are still unused, one row each.

`fingerprint` is the idempotency key of the call that the id confirms.
"""

marks = sa.Table(
    "marks",
    metadata,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("mark", sa.Text, primary_key=True, index=True),
)
"""The marks that users have given to tasks, one row for each mark of a task; see `marks.py`."""
reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("credits", sa.Float, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False, index=True),
    sa.Column("account", sa.Text, nullable=False, server_default=""),
    sa.Column("settled", sa.Float, index=True),
)
"""The charges and reservations of the tenants' paid tasks, one row per task.

Only the common ledger of all tenants has rows here. `id` is the task's id in the ledger of its own tenant, and `holder`
is the id of the process that runs the task. `account` is the KIE account that pays for the task (`KieClient.account`);
it is empty in rows of older versions. `settled` is the time from which the task no longer changes the balance of this
account; it is NULL while the task runs, and if this time is unknown.
"""
keys = sa.Table(
    "keys",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("ciphertext", sa.Text, nullable=False),
    sa.Column("changed", sa.Float, nullable=False),
)
"""The KIE keys that tenants have stored, one row each, encrypted with keys that are not in the database."""
