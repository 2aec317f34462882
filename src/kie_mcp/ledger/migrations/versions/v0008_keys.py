"""The KIE keys of people, encrypted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "keys",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("ciphertext", sa.Text, nullable=False),
        sa.Column("changed", sa.Float, nullable=False),
    )
