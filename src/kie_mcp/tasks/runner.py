"""The life of a task: submit, watch, collect, resume.

What is paid for is never lost: the row is on disk before KIE is asked and KIE's id before anybody is answered. What
may have been paid for is never sent again: a create whose answer got lost becomes `unknown`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
import httpx2
import sqlalchemy.exc
from anyio.abc import TaskGroup

from kie_mcp.catalog import MODELS, KieModel
from kie_mcp.catalog.fields import Ref
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, AuthError, InvalidCall, KieMcpError, NotOffered, TaskFailed, UnknownOutcome
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.tasks import midi
from kie_mcp.tasks.ledger import Ledger
from kie_mcp.tasks.media import Publisher
from kie_mcp.tasks.saving import Saver
from kie_mcp.tasks.task import KEPT_FOR, Result, State, Task, new_id

logger = logging.getLogger(__name__)

GRACE = 90
"""Seconds that KIE may not know a task, or name no result of one that succeeded, before that is believed."""
LOST_AFTER = 600
"""Seconds after which a create that nobody saw the end of has none."""

Report = Callable[[Sequence[Task]], Awaitable[None]]


@dataclass(slots=True)
class _Watch:
    """One task being brought to its end, however many wait for it."""

    task: Task
    heard: float = 0
    """When KIE last knew the task; at first, since when it has been asked."""
    over: anyio.Event = field(default_factory=anyio.Event)


class Runner:
    """Runs tasks; what it is in the middle of, the ledger knows too."""

    def __init__(
        self,
        client: KieClient,
        ledger: Ledger,
        publisher: Publisher,
        saver: Saver | None,
        group: TaskGroup,
        *,
        callback_url: str = "",
        clock: Clock,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.publisher = publisher
        self.clock = clock
        self._saver = saver
        self._group = group
        self._callback_url = callback_url
        self._watched: dict[str, _Watch] = {}

    async def submit(self, tool: str, call: KieModel) -> Task:
        """Start a task and return it as soon as KIE has accepted it.

        Raises:
            KieMcpError: When it was not accepted, with what that cost.
        """
        sent_to = await self.publisher.resolve(call.references())
        estimate = call.estimate()
        task = Task(
            id=new_id("t"),
            tool=tool,
            model=call.id,
            kind=call.kind,
            route="",
            arguments=call.model_dump(mode="json", exclude_none=True, context=lambda ref: _noted(ref, sent_to)),
            created=self.clock.time(),
            estimate=None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high),
        )
        accepted = _Accepted()
        # A caller who hangs up must not tear the create apart.
        self._group.start_soon(self._submit, task, call, sent_to, accepted)
        await accepted.event.wait()
        if accepted.error:
            raise accepted.error
        return task

    async def get(self, id_: str) -> Task:
        """The task with this id, ours or KIE's; an open one is watched from now on.

        Raises:
            InvalidCall: When there is no such task.
        """
        task = await self.ledger.find(id_.removeprefix("task:").partition("#")[0])
        if not task:
            raise InvalidCall(f"There is no task {id_}.", "list_tasks shows the tasks there are.")
        if watch := self._watched.get(task.id):
            return watch.task
        self._take_up(task)
        return task

    async def wait(self, tasks: Sequence[Task], seconds: float, report: Report | None = None) -> None:
        """Wait until all of the tasks have ended and their files are saved, but no longer than this."""
        until = self.clock.monotonic() + seconds
        for task in tasks:
            while (watch := self._watched.get(task.id)) and (left := until - self.clock.monotonic()) > 0:
                if report:
                    await report(tasks)
                await self._either(watch.over, min(left, 3))

    async def resume(self) -> None:
        """Take up what an earlier process left."""
        for task in await self.ledger.unfinished():
            self._take_up(task)

    def _take_up(self, task: Task) -> None:
        if task.final and (task.saved or task.state != "succeeded"):
            return
        if task.state != "submitting" or self.clock.time() > task.created + LOST_AFTER:
            self._group.start_soon(self._follow, self._watch(task))

    async def _submit(self, task: Task, call: KieModel, sent_to: dict[Ref, str], accepted: "_Accepted") -> None:
        with self._until_over(self._watch(task)) as watch:
            try:
                try:
                    await self._create(task, call, sent_to)
                except KieMcpError as error:
                    accepted.error = _with_alternative(error, call, task)
                    await self._end(task, "unknown" if isinstance(error, UnknownOutcome) else "failed", error)
            except Exception as error:
                # Other tasks run in the same group: nothing may end it.
                logger.exception("task %s", task.id)
                accepted.error = accepted.error or _broken(task, error)
            finally:
                accepted.event.set()
            if task.kie_id:
                await self._see_through(watch)

    async def _create(self, task: Task, call: KieModel, sent_to: dict[Ref, str]) -> None:
        ways = routes.ways(call, service=self.client.service)
        task.route = ways[0]
        await self.ledger.add(task)
        for way in ways:
            if way != task.route:
                task.route = way
                await self.ledger.save(task)
            body = routes.body(call, way, lambda ref: sent_to.get(ref, str(ref)), self._callback_url)
            try:
                task.kie_id = await self.client.create(routes.find(way).create, body)
            except NotOffered:
                # Nothing was created there; the next way may still exist.
                if way == ways[-1]:
                    raise
            else:
                task.state = "running"
                await self.ledger.save(task)
                return

    def _watch(self, task: Task) -> _Watch:
        """Give this very task to whoever asks for it from now on."""
        self._watched[task.id] = watch = _Watch(task)
        return watch

    @contextmanager
    def _until_over(self, watch: _Watch) -> Iterator[_Watch]:
        try:
            yield watch
        finally:
            del self._watched[watch.task.id]
            watch.over.set()

    async def _follow(self, watch: _Watch) -> None:
        with self._until_over(watch):
            await self._see_through(watch)

    async def _see_through(self, watch: _Watch) -> None:
        task, pause = watch.task, pace(0)
        watch.heard = self.clock.time()
        try:
            if task.state == "submitting":
                await self._end(task, "unknown", _LOST)
            while not task.final:
                await self.clock.sleep(pause)
                await self._look(watch)
                pause = pace(self.clock.time() - task.created)
            if self._saver and task.state == "succeeded" and not task.saved:
                await self._collect(task, self._saver)
        except Exception:
            # The row keeps its old state, so that the next start or question takes the task up again.
            logger.exception("task %s", task.id)

    async def _look(self, watch: _Watch) -> None:
        """Ask KIE once how the task is."""
        task = watch.task
        route = routes.find(task.route)
        try:
            answer = await self.client.status(route.status, task.kie_id or "")
        except AuthError as error:
            logger.warning("task %s cannot be asked after: %s", task.id, error)
            return
        except ApiError as error:
            logger.info("task %s: %s", task.id, error)
            return
        seen = status.read(route.shape, answer)
        now = self.clock.time()
        overdue = now - watch.heard > GRACE
        match seen.state:
            case "succeeded" if seen.media or seen.texts:
                task.results = [Result(media.url, id=media.id, label=media.label) for media in seen.media]
                task.texts = list(seen.texts)
                task.credits = seen.credits
                await self._end(task, "succeeded")
            case "succeeded" if overdue:
                task.credits = seen.credits
                await self._end(task, "failed", _EMPTY)
            case "failed":
                task.credits = seen.credits
                await self._end(task, "failed", _failure(seen.error, seen.code, seen.credits))
            case "missing" if overdue:
                await self._end(task, "expired", _GONE)
            case "running" if now - task.created > KEPT_FOR:
                await self._end(task, "expired", _GONE)
            case "running":
                watch.heard = now

    async def _end(self, task: Task, state: State, error: KieMcpError | None = None) -> None:
        task.state = state
        task.error = error.as_dict() if error else None
        task.finished = self.clock.time()
        task.saved = state != "succeeded" or self._saver is None
        await self.ledger.save(task)

    async def _collect(self, task: Task, saver: Saver) -> None:
        """Save the files; whatever goes wrong here leaves the task succeeded and is tried again."""
        try:
            if midi.made_by(task.model) and task.texts:
                _write_notes(task, saver)
            await saver.save(task)
        except (OSError, httpx2.HTTPError, KieMcpError) as error:
            task.note = f"Not saved: {_reason(error)}. The links stay good for 14 days."
            # Then there is nothing left to try again.
            task.saved = self.clock.time() > task.created + KEPT_FOR
        else:
            task.note = ""
            task.saved = True
        await self.ledger.save(task)

    async def _either(self, event: anyio.Event, seconds: float) -> None:
        """Wait for the event, but no longer than this."""
        async with anyio.create_task_group() as race:

            async def first(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                race.cancel_scope.cancel()

            race.start_soon(first, event.wait)
            race.start_soon(first, lambda: self.clock.sleep(seconds))


@dataclass(slots=True)
class _Accepted:
    event: anyio.Event = field(default_factory=anyio.Event)
    error: KieMcpError | None = None


_LOST = UnknownOutcome(
    "The server ended while KIE was asked. The task may have been accepted and billed.",
    "Look at https://kie.ai/logs before you ask for it again.",
    billed=None,
)
_GONE = ApiError(
    "KIE does not know this task, or not any more: it keeps records for 14 days.",
    "Look at https://kie.ai/logs before you ask for it again.",
    billed=None,
)
_EMPTY = TaskFailed(
    "KIE says that the task has succeeded, and names no result.",
    "Look at https://kie.ai/logs before you ask for it again.",
    billed=None,
)


def pace(age: float) -> float:
    """Seconds until the next look at a task this old: short at first, a tenth of its age later."""
    return min(max(1.0, age / 10), 60.0)


def _failure(message: str, code: int | None, charged: float | None) -> KieMcpError:
    billed = None if charged is None else charged > 0
    if code in (408, 500, 501, 531) or "try again" in message.casefold():
        return TaskFailed(message, "KIE had trouble: the same call may work later.", retryable=True, billed=billed)
    return TaskFailed(message, "Change what the message names, then call again.", billed=billed)


def _with_alternative(error: KieMcpError, call: KieModel, task: Task) -> KieMcpError:
    if isinstance(error, NotOffered) and call.legacy:
        error.message = f"KIE no longer offers {call.id}. {error.message}"
        error.next_step = f"Use {call.legacy} instead."
    if isinstance(error, UnknownOutcome):
        error.message = f"{error.message} It is task {task.id} here."
    return error


def _noted(ref: Ref, sent_to: Mapping[Ref, str]) -> str:
    """A reference as the ledger keeps it: a data URI is the whole file."""
    return sent_to[ref] if ref.startswith("data:") else str(ref)


def _broken(task: Task, error: Exception) -> KieMcpError:
    reason = str(getattr(error, "orig", error))
    if task.kie_id:
        return KieMcpError(
            f"KIE accepted task {task.id} as {task.kie_id}, but the ledger cannot be written ({reason}).",
            "Do not repeat the call: get_task shows the result while this server runs, https://kie.ai/logs later. "
            "Make room on the disk.",
            billed=True,
        )
    if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
        return KieMcpError(f"The ledger cannot be written ({reason}), so KIE was not asked.", "Make room on the disk.")
    return KieMcpError(
        f"Something went wrong inside kie-mcp with task {task.id}; its log tells what.",
        "Look at https://kie.ai/logs before you call again.",
        billed=None,
    )


def _reason(error: Exception) -> str:
    """What went wrong, without httpx2's advice and a second full stop."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).partition("\n")[0].rstrip(".")


def _write_notes(task: Task, saver: Saver) -> None:
    """Make files of the notes; what are no notes stays text."""
    try:
        files = [midi.file(text) for text in task.texts]
    except ValueError:
        return
    task.results = [saver.write(task, number, content, "audio/midi") for number, content in enumerate(files, start=1)]
    task.texts = []


def usual_seconds(task: Task) -> float:
    """How long such a task usually takes."""
    model = MODELS.get(task.model)
    return model.usual_seconds if model else 60
