"""Waiting: wait until tasks have ended, whichever process watches them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from kie_mcp.clock import Clock
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.base_watcher import BaseWatcher

REPORT_SECONDS = 3
"""Seconds between two reports to a caller who waits."""

Report = Callable[[Sequence[Task]], Awaitable[None]]
"""The type of a function that is called every few seconds with the tasks in their latest state."""


class Waiting:
    """Waits for tasks: uses the watchers of this process, and the ledger for tasks that other processes watch."""

    def __init__(
        self,
        watched: Mapping[str, BaseWatcher],
        get: Callable[[str], Awaitable[Task]],
        wait_for_change: Callable[[str], Awaitable[None]],
        clock: Clock,
    ) -> None:
        """Store the arguments.

        Args:
            watched: For the id of each task that this process watches, the watcher.
            get: Returns a task by its id, and makes sure that a process watches it.
            wait_for_change: Waits until another process has changed a task, or until the task's row should be read
                again. The argument is the id of the task.
            clock: The source of time.
        """
        self._watched = watched
        self._get = get
        self._wait_for_change = wait_for_change
        self._clock = clock

    async def wait(
        self, tasks: Sequence[Task], seconds: float, report: Report | None = None, *, first: bool = False
    ) -> list[Task]:
        """Wait until all tasks have ended and their files are downloaded, but at most for `seconds`.

        Args:
            tasks: The tasks to wait for.
            seconds: Maximum seconds to wait.
            report: A function that is called with all tasks every few seconds while a task runs.
            first: True to wait only until one of the tasks has ended.

        Returns:
            The tasks in their latest state, in the order of `tasks`.
        """
        until = self._clock.monotonic() + seconds
        found = list(tasks)
        while (left := until - self._clock.monotonic()) > 0:
            open_ = [place for place, task in enumerate(found) if not self._has_ended(task)]
            if not open_ or (first and len(open_) < len(found)):
                break
            if report:
                await report(found)
            news = [self._find_news(found[place].id) for place in open_]
            await self._clock.wait_for_first(*news, partial(self._clock.sleep, min(left, REPORT_SECONDS)))
            for place in open_:
                watched = self._watched.get(found[place].id)
                found[place] = watched.task if watched else await self._get(found[place].id)
        return found

    def _find_news(self, id_: str) -> Callable[[], Awaitable[object]]:
        """Return a function that waits until a task ends or, if another process watches it, until it may have changed.

        The function does not make a watcher poll, so that a waiting caller causes no additional requests to KIE.
        """
        watcher = self._watched.get(id_)
        return watcher.ended.wait if watcher else partial(self._wait_for_change, id_)

    def _has_ended(self, task: Task) -> bool:
        """Tell whether a task has ended, so that a caller no longer waits for it.

        A succeeded task counts as ended when its files are saved, or when saving them has failed and is retried later.
        """
        if watcher := self._watched.get(task.id):
            return watcher.ended.is_set()
        return task.done or (task.final and bool(task.note))
