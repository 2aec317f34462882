"""Revision 2: the column `tasks.seconds`, the time that a task took at KIE."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("tasks", sa.Column("seconds", sa.Float))
