"""Revision 3: a running number for each task, an index of the prompts, and other indexes, which make queries fast."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

LISTED = "CASE WHEN created BETWEEN 0 AND 253402214400.0 THEN created ELSE 0.0 END"
PROMPTS = (
    "CREATE VIRTUAL TABLE prompts USING fts5 (prompt, content='', tokenize='trigram case_sensitive 1')",
    # `sqlite.py` defines the SQL function `fold_prompt`.
    "INSERT INTO prompts (rowid, prompt) SELECT number, fold_prompt(CAST(arguments AS BLOB)) FROM tasks",
)


def upgrade() -> None:
    """Add the columns and indexes, with SQL for SQLite only: ledgers on PostgreSQL begin with a later revision."""
    for columns in (("model", "state", "finished"), ("model", "tariff", "finished"), ("finished",), ("session",)):
        op.create_index(f"ix_tasks_{'_'.join(columns)}", "tasks", columns)
    op.add_column("tasks", sa.Column("number", sa.Integer))
    op.create_index("ix_tasks_number", "tasks", ["number"])
    op.execute("UPDATE tasks SET number = rowid")
    op.add_column("tasks", sa.Column("listed", sa.Float, sa.Computed(LISTED, persisted=False)))
    op.create_index("ix_tasks_listed", "tasks", ["listed", "id"])
    op.create_index("ix_tasks_state_listed", "tasks", ["state", "listed", "id"])
    for statement in PROMPTS:
        op.execute(statement)
