"""The ledger: what is kept on disk about tasks; tables, migrations and every SQL query."""
