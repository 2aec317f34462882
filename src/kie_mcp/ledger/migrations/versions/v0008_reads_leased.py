"""Revision 8: the column `leased` of the table `reads`: the time when a slot for status reads was leased.

A time in the future means that, since then, the clock was set back, or restarted at 0 together with the machine.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; it is 0 in rows that a server of an earlier version writes."""
    op.add_column("reads", sa.Column("leased", sa.Float, server_default="0", nullable=False))
