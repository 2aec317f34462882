"""Revision 4: the column `tasks.parent`: for a part, the id of its whole (the task that KIE makes in parts)."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, and an index that finds the parts of a whole."""
    op.add_column("tasks", sa.Column("parent", sa.Text))
    op.create_index("ix_tasks_parent", "tasks", ["parent"], sqlite_where=sa.text("parent IS NOT NULL"))
