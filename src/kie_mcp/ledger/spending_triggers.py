"""The SQL for the sums in the table `spending`: triggers on the table `tasks` update them, and `SUM_ALL` fills them.

The triggers run in the transaction that changes a task, whichever version of kie-mcp changes it. A revision in
`migrations/versions/` uses this SQL too. So to change the SQL, also add a revision that replaces the triggers.
"""

_DEPENDS_ON = ("day", "model", "kind", "state", "kie_id", "error", "credits", "reserved", "parent", "route")
"""The columns of `tasks` on which the sums depend."""
_FIND = {"sqlite": "instr", "postgresql": "strpos"}
"""For each kind of database, the SQL function that finds a text in another text."""


def _select(row: str, sign: int) -> str:
    """Return SQL that selects `row` (`OLD`, `NEW` or `tasks`) for the sums; a `sign` of -1 subtracts it, 1 adds it."""
    return f"SELECT {sign} AS sign, {', '.join(f'{row}.{name} AS {name}' for name in _DEPENDS_ON)}"


def _sum(database: str, *selects: str) -> str:
    """Return SQL that adds the selected rows to the sums, or subtracts them if their `sign` is -1.

    The rows of `spending` are locked in the order of their keys, so that two transactions cannot deadlock.
    """
    columns = "day, model, kind, state, refused, known, free"
    places = "1, 2, 3, 4, 5, 6, 7"
    return f"""INSERT INTO spending ({columns}, tasks, charged, reserved)
        SELECT day, CAST(model AS TEXT), CAST(kind AS TEXT), state,
            state = 'failed' AND kie_id IS NULL AND coalesce({_FIND[database]}(error, '"billed": false') > 0, FALSE),
            credits IS NOT NULL, coalesce(credits = 0, FALSE), sum(sign),
            sum(sign * CASE WHEN credits BETWEEN 0 AND 1e9 THEN credits ELSE 0 END),
            sum(sign * CASE WHEN reserved BETWEEN 0 AND 1e9 THEN reserved ELSE 0 END)
        FROM ({" UNION ALL ".join(selects)}) AS changed
        WHERE day IS NOT NULL AND parent IS NULL AND route <> 'batch'
        GROUP BY {places} ORDER BY {places}
        ON CONFLICT ({columns}) DO UPDATE SET
            tasks = spending.tasks + excluded.tasks,
            charged = spending.charged + excluded.charged,
            reserved = spending.reserved + excluded.reserved"""  # noqa: S608 - texts of this module


def _has_changed(comparison: str) -> str:
    """Return the SQL condition for updates that may change the sums.

    The row is counted in the sums before or after the update, and a column in `_DEPENDS_ON` gets another value.
    """
    old, new = (", ".join(f"{row}.{name}" for name in _DEPENDS_ON) for row in ("OLD", "NEW"))
    return f"coalesce(OLD.day, NEW.day) IS NOT NULL AND ({old}) {comparison} ({new})"


_OLD, _NEW = _select("OLD", -1), _select("NEW", 1)
CREATE_TRIGGERS = {
    "sqlite": (
        f"""CREATE TRIGGER sum_changed AFTER UPDATE ON tasks WHEN {_has_changed("IS NOT")}
            BEGIN {_sum("sqlite", _OLD, _NEW)}; END""",
        f"""CREATE TRIGGER sum_deleted AFTER DELETE ON tasks WHEN OLD.day IS NOT NULL
            BEGIN {_sum("sqlite", _OLD)}; END""",
    ),
    "postgresql": (
        # Connections do not have the ledger's schema in their search path. So each function stores the search path of
        # the migration, which contains this schema.
        f"""CREATE FUNCTION sum_changed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
            BEGIN {_sum("postgresql", _OLD, _NEW)}; RETURN NULL; END $$""",
        f"""CREATE FUNCTION sum_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
            BEGIN {_sum("postgresql", _OLD)}; RETURN NULL; END $$""",
        f"""CREATE TRIGGER sum_changed AFTER UPDATE ON tasks FOR EACH ROW WHEN ({_has_changed("IS DISTINCT FROM")})
            EXECUTE FUNCTION sum_changed()""",
        """CREATE TRIGGER sum_deleted AFTER DELETE ON tasks FOR EACH ROW WHEN (OLD.day IS NOT NULL)
            EXECUTE FUNCTION sum_deleted()""",
    ),
}
"""For each kind of database, the SQL statements that create the triggers."""
SUM_ALL = {database: _sum(database, f"{_select('tasks', 1)} FROM tasks") for database in _FIND}
"""For each kind of database, the SQL statement that adds all rows of `tasks` to sums that are still empty."""
