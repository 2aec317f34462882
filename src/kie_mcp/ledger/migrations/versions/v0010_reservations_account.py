"""Revision 10: the columns `account` and `settled` of `reservations`: whose balance a task changes, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns, and an index that finds the tasks that may have changed the balance since a given time."""
    op.add_column("reservations", sa.Column("account", sa.Text, server_default="", nullable=False))
    op.add_column("reservations", sa.Column("settled", sa.Float))
    op.create_index("ix_reservations_settled", "reservations", ["settled"])
