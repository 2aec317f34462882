"""Revision 4: the column `tasks.parent`: for a part, the id of its parent task."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, and an index that finds the parts of a parent task."""
    op.add_column("tasks", sa.Column("parent", sa.Text))
    op.create_index("ix_tasks_parent", "tasks", ["parent"], sqlite_where=sa.text("parent IS NOT NULL"))
