"""The connection to PostgreSQL is lost at each commit of a call, before and after the database has done it."""

from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from reconciliation import order, reckon, settle
from support.clock import JumpingClock
from support.ledgers import find_database
from support.runners import run_runner, run_to_end

from kie_mcp.errors import KieMcpError
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.caps import Rules

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database", ["postgresql"], indirect=True),
    pytest.mark.usefixtures("database"),
]

COMMITS = 8
"""Commits of one call that are tried: more than there are until KIE has accepted a task."""


class LostCommit:
    """Ends all connections at the n-th commit from now on that follows a writing."""

    def __init__(self, folder: Path, number: int, *, done: bool) -> None:
        self._found = find_database(folder / "data")
        self._left = number
        self._done = done

    def __enter__(self) -> None:
        sa.event.listen(sa.Engine, "commit", self._commit)

    def __exit__(self, *_: object) -> None:
        sa.event.remove(sa.Engine, "commit", self._commit)

    def _commit(self, connection: sa.Connection) -> None:
        assert self._found
        self._left -= 1
        if self._left == 0:
            server, name = self._found
            if self._done:
                connection.connection.commit()
            server.disconnect(name)
            if self._done:
                # Where nothing is left to commit, the driver would not notice.
                error = psycopg.OperationalError("server closed the connection unexpectedly")
                raise sa.exc.OperationalError("COMMIT", None, error)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_connection_lost_at_any_commit_loses_no_task_and_pays_none_twice(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, done: bool
) -> None:
    """A call that fails is made again, as agents do, and gets the same task where there is one."""
    told = 0
    async with run_runner(tmp_path, sandbox.app, clock, rules=Rules()) as runner:
        for number in range(1, COMMITS + 1):
            wanted = order(f"heron {number}")
            with LostCommit(tmp_path, number, done=done):
                try:
                    await runner.submit(wanted)
                except KieMcpError:
                    told += 1
                await settle(clock, tmp_path)
            task = await run_to_end(runner, await runner.submit(order(f"heron {number}")))
            assert task.state == "succeeded"
        await settle(clock, tmp_path)
    assert told
    # How many calls fail before they are made again depends on which connection notices the loss first.
    found = reckon(sandbox, tmp_path)
    assert (found.accepted, found.charged, found.saved) == (COMMITS, 4 * COMMITS, COMMITS)
