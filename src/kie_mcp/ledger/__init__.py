"""The ledger: the database of tasks, with its tables, its migrations and all SQL queries."""
