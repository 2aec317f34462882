"""What is kept on disk: records, tables, migrations and every SQL query."""
