"""What the tasks of all tenants cost together."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reservations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("credits", sa.Float, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
    )
    op.create_index("ix_reservations_created", "reservations", ["created"])
    op.create_index("ix_reservations_ended", "reservations", ["ended"])
