"""Revision 8: add the column `leased` to the table `reads`, for the time at which a slot for status reads was leased.

If this time is in the future, then after the lease was made, the clock was set back, or the machine was restarted, so
that the clock started again at 0.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; its default 0 is for rows that a server of an earlier version writes."""
    op.add_column("reads", sa.Column("leased", sa.Float, server_default="0", nullable=False))
