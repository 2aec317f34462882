"""The life of a task: submit, watch, collect, resume.

What is paid for is never lost: the row is on disk before KIE is asked and KIE's id before anybody is answered. What
may have been paid for is never sent again: a create whose answer got lost becomes `unknown`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
from anyio.abc import TaskGroup

from kie_mcp.catalog import MODELS, KieModel
from kie_mcp.catalog.fields import Ref
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, AuthError, InvalidCall, KieMcpError, NotOffered, UnknownOutcome
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.tasks import midi, trouble
from kie_mcp.tasks.ledger import Ledger
from kie_mcp.tasks.media import Publisher
from kie_mcp.tasks.saving import Saver
from kie_mcp.tasks.task import KEPT_FOR, Result, State, Task, new_id

logger = logging.getLogger(__name__)

GRACE = 90
"""Seconds that KIE may not know a task, or name no result of one that succeeded, before that is believed."""
LOST_AFTER = 600
"""Seconds after which a create that nobody saw the end of has none."""
ANSWERED_WITHIN = 30
"""Seconds that somebody who asks after a task waits for KIE to accept it."""
BETWEEN_REPEATS = 30
"""Seconds that KIE wants between two of the same request, where that is how one asks."""
REPEATED_FOR = 3600
"""Seconds after which such a task is given up: a 4K clip takes ten minutes, and no code of KIE's says never."""

Report = Callable[[Sequence[Task]], Awaitable[None]]


@dataclass(slots=True)
class _Watch:
    """One task being brought to its end, however many wait for it."""

    task: Task
    heard: float = 0
    """When KIE last knew the task; at first, since when it has been asked."""
    answered: anyio.Event = field(default_factory=anyio.Event)
    """When KIE has accepted the task or refused it."""
    error: KieMcpError | None = None
    """Why it was not accepted."""
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

    async def submit(self, tool: str, call: KieModel, *, way: str = "", extra: Mapping[str, Any] | None = None) -> Task:
        """Start a task and return it as soon as KIE has accepted it; some have ended by then.

        Args:
            tool: Who asks.
            call: What to run.
            way: The only route to take; empty for those of the model.
            extra: Further fields of KIE's, which the model has no field for.

        Raises:
            KieMcpError: When it was not accepted, with what that cost.
        """
        sent_to = await self.publisher.resolve(call.references())
        estimate = call.estimate()
        arguments = call.model_dump(mode="json", exclude_none=True, context=lambda ref: _noted(ref, sent_to))
        task = Task(
            id=new_id("t"),
            tool=tool,
            model=call.id,
            kind=call.kind,
            route="",
            arguments={**(extra or {}), **arguments},
            created=self.clock.time(),
            estimate=None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high),
        )
        ways = (way,) if way else routes.ways(call, service=self.client.service)

        def body(way: str) -> dict[str, Any]:
            return routes.body(call, way, lambda ref: sent_to.get(ref, str(ref)), self._callback_url, extra)

        bodies = {each: body(each) for each in ways}
        watch = self._watch(task)
        # A caller who hangs up must not tear the create apart.
        self._group.start_soon(self._submit, watch, call, bodies)
        await watch.answered.wait()
        if watch.error:
            raise watch.error
        return task

    async def get(self, id_: str) -> Task:
        """The task with this id, ours or KIE's; an open one is watched from now on.

        While KIE is being asked to run it, that is waited for a little.

        Raises:
            InvalidCall: When there is no such task.
        """
        task = await self.ledger.find(id_.removeprefix("task:").partition("#")[0])
        if not task:
            raise InvalidCall(f"There is no task {id_}.", "list_tasks shows the tasks there are.")
        if watch := self._watched.get(task.id):
            if watch.task.state == "submitting":
                await self._either(watch.answered, ANSWERED_WITHIN)
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

    async def _submit(self, watch: _Watch, call: KieModel, bodies: Mapping[str, dict[str, Any]]) -> None:
        task = watch.task
        with self._until_over(watch):
            try:
                try:
                    await self._create(watch, bodies)
                except KieMcpError as error:
                    watch.error = trouble.with_alternative(error, call, task)
                    await self._end(task, "unknown" if isinstance(error, UnknownOutcome) else "failed", error)
            except Exception as error:
                # Other tasks run in the same group: nothing may end it.
                logger.exception("task %s", task.id)
                if task.final:
                    # What KIE said is told all the same.
                    task.note = f"Not written down: {trouble.reason(error)}."
                else:
                    watch.error = trouble.broken(task, error)
            finally:
                watch.answered.set()
            if task.state != "submitting":
                await self._see_through(watch)

    async def _create(self, watch: _Watch, bodies: Mapping[str, dict[str, Any]]) -> None:
        """Send the body of the first way that KIE has."""
        task, write = watch.task, self.ledger.add
        for tried, (way, body) in enumerate(bodies.items(), start=1):
            route = routes.find(way)
            task.route, task.request = way, body if route.repeated else None
            await write(task)
            write = self.ledger.save
            try:
                await self._ask(watch, route, body)
            except NotOffered:
                # Nothing was created there; the next way may still exist.
                if tried == len(bodies):
                    raise
            else:
                return

    async def _ask(self, watch: _Watch, route: Route, body: Mapping[str, Any]) -> None:
        """Have KIE run the task; what is known of it then is on disk."""
        task = watch.task
        if route.at_once or route.repeated:
            answer = await self.client.ask(route, body)
            task.state = "running"
            await self._learn(watch, route, status.read(route.shape, answer))
        else:
            task.kie_id = await self.client.create(route.create, body)
            task.state = "running"
        if not task.final:
            await self.ledger.save(task)

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
            watch.answered.set()
            watch.over.set()

    async def _follow(self, watch: _Watch) -> None:
        with self._until_over(watch):
            await self._see_through(watch)

    async def _see_through(self, watch: _Watch) -> None:
        task, age = watch.task, 0.0
        watch.heard = self.clock.time()
        try:
            if task.state == "submitting":
                await self._end(task, "unknown", trouble.LOST)
            while not task.final:
                route = routes.find(task.route)
                await self.clock.sleep(pace(age, BETWEEN_REPEATS if route.repeated else 1))
                await self._look(watch, route)
                age = self.clock.time() - task.created
            if self._saver and task.state == "succeeded" and not task.saved:
                await self._collect(task, self._saver)
        except Exception:
            # The row keeps its old state, so that the next start or question takes the task up again.
            logger.exception("task %s", task.id)

    async def _look(self, watch: _Watch, route: Route) -> None:
        """Ask KIE once how the task is."""
        task = watch.task
        try:
            if route.repeated:
                answer = await self.client.ask_again(route, task.request or {})
            else:
                answer = await self.client.status(route.status, task.kie_id or "")
        except AuthError as error:
            logger.warning("task %s cannot be asked after: %s", task.id, error)
        except ApiError as error:
            logger.info("task %s: %s", task.id, error)
        else:
            await self._learn(watch, route, status.read(route.shape, answer))

    async def _learn(self, watch: _Watch, route: Route, seen: Status) -> None:
        """Write down what KIE says of the task, if that is the end of it."""
        task, now = watch.task, self.clock.time()
        overdue = route.at_once or now - watch.heard > GRACE
        shape = status.SHAPES[route.shape]
        match seen.state:
            # Some say no more than yes.
            case "succeeded" if seen.media or seen.texts or not (shape.media or shape.texts):
                task.results = [Result(media.url, id=media.id, label=media.label) for media in seen.media]
                task.texts = list(seen.texts)
                task.credits = seen.credits
                await self._end(task, "succeeded")
            case "succeeded" if overdue:
                task.credits = seen.credits
                await self._end(task, "failed", trouble.EMPTY)
            case "failed":
                task.credits = seen.credits
                await self._end(task, "failed", trouble.failure(seen))
            case "missing" if overdue:
                await self._end(task, "expired", trouble.GONE)
            case "running" if route.repeated and now - task.created > REPEATED_FOR:
                await self._end(task, "failed", trouble.unfinished(seen))
            case "running" if now - task.created > KEPT_FOR:
                await self._end(task, "expired", trouble.GONE)
            case "running":
                watch.heard = now

    async def _end(self, task: Task, state: State, error: KieMcpError | None = None) -> None:
        task.state = state
        task.error = error.as_dict() if error else None
        task.finished = self.clock.time()
        to_save = task.results or (task.texts and midi.made_by(task.model))
        task.saved = state != "succeeded" or self._saver is None or not to_save
        await self.ledger.save(task)

    async def _collect(self, task: Task, saver: Saver) -> None:
        """Save the files; whatever goes wrong here leaves the task succeeded and is tried again."""
        try:
            if midi.made_by(task.model) and task.texts:
                _write_notes(task, saver)
            await saver.save(task)
        except (OSError, httpx2.HTTPError, KieMcpError) as error:
            task.note = f"Not saved: {trouble.reason(error)}. The links stay good for 14 days."
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


def pace(age: float, least: float = 1) -> float:
    """Seconds until the next look at a task this old: short at first, a tenth of its age later."""
    return min(max(least, age / 10), 60.0)


def _noted(ref: Ref, sent_to: Mapping[Ref, str]) -> str:
    """A reference as the ledger keeps it: a data URI is the whole file."""
    return sent_to[ref] if ref.startswith("data:") else str(ref)


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
