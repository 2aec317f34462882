"""The marks that users give to tasks, such as favourites and tags."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "marks",
        sa.Column("task", sa.Text, primary_key=True),
        sa.Column("mark", sa.Text, primary_key=True),
    )
    op.create_index("ix_marks_mark", "marks", ["mark"])
