"""Revision 8: the column `reads.leased`, the time when a slot was leased; it shows whether the clock was set back."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; it is 0 in rows that a server of an earlier version writes."""
    op.add_column("reads", sa.Column("leased", sa.Float, server_default="0", nullable=False))
