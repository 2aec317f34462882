"""Revision 5: the column `tasks.confirmed`, which says whether a person agreed to the cost of a task."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    op.add_column("tasks", sa.Column("confirmed", sa.Boolean, server_default=sa.false(), nullable=False))
