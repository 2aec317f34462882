"""The tables of the first version."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: every ledger has these tables."""
