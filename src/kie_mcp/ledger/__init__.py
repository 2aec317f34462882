"""The ledger: the database of tasks on disk, with its tables, its migrations and every SQL query."""
