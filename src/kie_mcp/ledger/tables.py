"""The ledger's tables in their newest version; each change of a table needs a migration (`migrations.py`)."""

import sqlalchemy as sa

metadata = sa.MetaData()

versions = sa.Table("ledger", metadata, sa.Column("version", sa.Integer, nullable=False))
"""One row: the version of the tables in this file."""

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
)
"""The paid tasks, one row each; `rows.py` says which column holds which attribute of `Task`."""

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
"""The files that were uploaded to KIE, each with the time until which KIE keeps the file."""

servers = sa.Table(
    "servers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alive_until", sa.Float, nullable=False),
)
"""The leases: each server process that watches tasks, with the time until which the process counts as alive."""

creates = sa.Table(
    "creates",
    metadata,
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
"""The sliding window of the create rate limit: for each slot, the account and the time when the slot was taken."""

confirmations = sa.Table(
    "confirmations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
)
"""The confirmation ids that were given out, each with the idempotency key of the call that it may confirm."""
