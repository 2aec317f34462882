"""Revision 9: the tables `sources` (the tasks that a task was made from) and `spending` (sums for the report)."""

import sqlalchemy as sa
from alembic import op

from kie_mcp.ledger import lineage
from kie_mcp.ledger.expressions import LocalDay
from kie_mcp.ledger.spending_triggers import CREATE_TRIGGERS, SUM_ALL
from kie_mcp.ledger.tables import parse_json

revision = "0009"
down_revision = "0008"

ENDED = ("succeeded", "failed", "expired", "unknown")
ROWS = 1_000
"""Number of rows that are read and written at once."""


def upgrade() -> None:
    """Add the two tables, fill them from the existing tasks, and create the triggers that keep the sums up to date."""
    op.create_table(
        "sources",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
    )
    _find_sources(op.get_bind())
    op.create_table(
        "spending",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("day", "model", "kind", "state")),
        *(sa.Column(name, sa.Boolean, primary_key=True) for name in ("refused", "known", "free")),
        sa.Column("tasks", sa.Integer, nullable=False),
        sa.Column("charged", sa.Float, nullable=False),
        sa.Column("reserved", sa.Float, nullable=False),
    )
    op.add_column("tasks", sa.Column("day", sa.Text))
    ended = sa.table("tasks", sa.column("day"), sa.column("created", sa.Float), sa.column("state"))
    op.execute(sa.update(ended).where(ended.c.state.in_(ENDED)).values(day=LocalDay(ended.c.created)))
    op.create_index("ix_tasks_day", "tasks", ["day", "created"])
    database = op.get_bind().dialect.name
    for statement in (SUM_ALL[database], *CREATE_TRIGGERS[database]):
        op.execute(statement)


def _find_sources(connection: sa.Connection) -> None:
    """Fill the table `sources`; skip tasks whose arguments contain neither `task` nor `t_`: they name no source."""
    tasks = sa.table("tasks", sa.column("number"), sa.column("arguments"))
    sources = sa.table("sources", sa.column("source"), sa.column("number"))
    may_name = (sa.func.lower(tasks.c.arguments).contains(text, autoescape=True) for text in ("task", "t_"))
    query = sa.select(tasks).where(sa.or_(*may_name)).order_by(tasks.c.number).limit(ROWS)
    last = 0
    while rows := connection.execute(query.where(tasks.c.number > last)).all():
        last = rows[-1].number
        found = [
            {"source": source, "number": number}
            for number, arguments in rows
            if isinstance(named := parse_json(arguments), dict)
            for source in lineage.referenced_ids(named)
        ]
        if found:
            connection.execute(sa.insert(sources), found)
