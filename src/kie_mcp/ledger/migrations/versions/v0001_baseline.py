"""Revision 1: the tables of the first version."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing, because every ledger has at least the tables of revision 1 when an upgrade starts."""
