"""The ledger's tables in their newest version; whoever changes a table must also add a migration (`migrations.py`)."""

import sqlalchemy as sa

metadata = sa.MetaData()

LATEST = 253_402_214_400.0
"""The beginning of the last day of 9999 in seconds since 1970, because `datetime` cannot express later years."""
LISTED = f"CASE WHEN created BETWEEN 0 AND {LATEST} THEN created ELSE 0.0 END"
"""SQL of the time by which tasks are listed."""

versions = sa.Table("ledger", metadata, sa.Column("version", sa.Integer, nullable=False))
"""The version of all tables in this file; this table has one row."""

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
    sa.Column("arguments", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("finished", sa.Float),
    sa.Column("estimate", sa.JSON),
    sa.Column("credits", sa.Float),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("texts", sa.JSON, nullable=False),
    sa.Column("error", sa.JSON),
    sa.Column("saved", sa.Boolean, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("request", sa.JSON),
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
    sa.Index("ix_tasks_parent", "parent", sqlite_where=sa.text("parent IS NOT NULL")),
)
"""The paid tasks, one row each; a column has the name of an attribute of `Task`, except those in `rows.py`.

The column `number` counts the tasks in the order in which they were recorded; `prompts.py` finds tasks by it. `listed`
is `created`, or 0 in a row whose time is broken; lists have this order.
"""
IS_NO_PART = tasks.c.parent.is_(None)
"""An SQL condition that leaves out the parts of wholes: a whole counts what its parts cost."""

uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("size", sa.Integer),
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
