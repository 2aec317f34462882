"""Watcher: sends the create request of one task, polls KIE until the task has ended, and downloads the task's files.

A paid task is never lost: its row is on disk before the create request is sent, and KIE's id is on disk before a
caller is told that the task is running. A create request that KIE may have charged is never sent again: if nobody knows
whether KIE accepted it, the task becomes `unknown`. The module `transitions` computes a task's next state, and the
module `polling` computes when to poll.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import httpx2

from kie_mcp.errors import ApiError, AuthError, KieMcpError, NotOffered, UnknownOutcome
from kie_mcp.kie import codes, routes, status
from kie_mcp.kie.observation import tracer
from kie_mcp.kie.routes import Route
from kie_mcp.kie.status import Status
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.ledger.task import Result, Task
from kie_mcp.tasks import adoption, failures, polling, repeated_requests, transitions
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.midi_results import MIDI_MODEL, write_notes
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import REPEAT_SECONDS, DurationEstimate
from kie_mcp.tasks.recorder import Recorder
from kie_mcp.tasks.sent_files import find_files, note_files
from kie_mcp.tasks.services import LONGEST_LEDGER_BACKOFF, Services
from kie_mcp.tasks.transitions import Times

logger = logging.getLogger(__name__)

FRESH_SECONDS = 3
"""Seconds after a poll in which `poll_soon()` does not poll again; routes without a status URL use `REPEAT_SECONDS`."""
CALLBACK_GAP_SECONDS = 1
"""Minimum seconds between two polls that callbacks cause, however many callbacks arrive."""
DOWNLOAD_BACKOFF = (5, 30, 120, 600, 3600)
"""Seconds between attempts to download a task's files; the last number repeats while KIE still has the files."""

Bodies = Callable[[Mapping[Any, str]], Mapping[str, dict[str, Any]]]
"""The type of functions that return, for each route id, the body of the create request.

The argument of the function maps each reference (a file or earlier task that the call names) to KIE's URL or id.
"""


class Watcher(Recorder):
    """Follows one task at KIE to its end: creates and polls it, and downloads its files."""

    def __init__(self, task: Task, services: Services, duration: DurationEstimate) -> None:
        super().__init__(task, services, duration)
        self._last_progress = services.clock.monotonic()
        """Time, by the monotonic clock, at which KIE last said that the task runs.

        Before the first such answer, this is the time at which this watcher was made.
        """
        self._missing_since: float | None = None
        """Time, by the monotonic clock, of the first answer in a row in which KIE did not know the task, or None."""
        self._failed_polls = 0
        self._last_answer = self._last_progress
        """Time, by the monotonic clock, of KIE's last answer about the task, or at which this watcher was made."""
        self._last_poll = self._last_progress
        self._woken: anyio.Event | None = None
        """The event that ends the current sleep early; None between two sleeps."""
        self._expects_callback = False
        """Whether KIE will call this server back about this task, because the create request had a callback URL."""
        self._was_called = False
        """Whether a callback has arrived since the last poll of the task."""
        self._last_call_poll = float("-inf")
        """Time, by the monotonic clock, of the last poll that a callback caused."""

    def handle_callback(self) -> None:
        """Poll soon, because a callback has arrived, and the task may have changed since the last poll."""
        self._services.callbacks.arrive = self._expects_callback = True
        self._was_called = True
        self._wake()

    def poll_soon(self) -> None:
        """Poll at once, unless the last poll is very recent; if a download has failed, retry the download at once."""
        fresh_seconds = REPEAT_SECONDS if repeated_requests.is_repeated(self.task) else FRESH_SECONDS
        if self.ended.is_set() and not self.task.saved:
            self._reopen()
            self._wake()
        elif self._services.clock.monotonic() - self._last_poll >= fresh_seconds:
            self._wake()

    def _wake(self) -> None:
        if self._woken:
            self._woken.set()

    def _reopen(self) -> None:
        """If the event `ended` is set, replace it by a new event, for which callers wait during the next attempt."""
        if self.ended.is_set():
            self.ended = anyio.Event()

    async def _sleep_until_woken(self, wait: Callable[[float], Awaitable[object]], seconds: float) -> None:
        """Await `wait(seconds)`, but return early if `poll_soon()` or `handle_callback()` wakes this watcher."""
        self._woken = woken = anyio.Event()
        await self._services.clock.wait_for_first(woken.wait, partial(wait, seconds))
        self._woken = None

    async def start(self, order: Order, bodies: Bodies) -> None:
        """Send the create request of a task whose row in the ledger has the state `prepared`."""
        task = self.task
        try:
            try:
                await self._start_with_uploads(order, bodies)
            except KieMcpError as error:
                if isinstance(error, UnknownOutcome):
                    error.message += await self._services.balance.explain(task)
                self.error = failures.add_alternative(error, order.call, task)
                await self._finish(transitions.refuse(error))
        except Exception as error:
            # The error is not raised further, because it would cancel all other watchers in the task group.
            logger.exception("task %s", task.id)
            self.error = failures.internal_create_error(task, error, self._services.client.advice)
            if self.error.billed is False:
                await self._finish(transitions.refuse(self.error))
        finally:
            if self._ledger_error and not self.error:
                advice = self._services.client.advice
                internal = failures.internal_create_error(task, self._ledger_error, advice)
                self.error = None if task.final else internal
            self.create_settled.set()

    async def follow(self, *, poll_now: bool) -> None:
        """Poll until the task has ended, then download its files.

        Args:
            poll_now: True to poll as soon as possible, for example after a takeover, because the last poll may be long
                ago.
        """
        task = self.task
        try:
            await self._recover()
            while not task.final:
                route = routes.find(task.route)
                is_called = await self._wait_for_poll(route, self._poll_delay(route, poll_now=poll_now))
                poll_now = False
                if self._ledger_error:
                    await self._save_task()
                await self._poll(route)
                if task.final and self._expects_callback and not is_called:
                    self._services.callbacks.arrive = False
            if task.state == "succeeded" and not task.saved and self._services.downloader:
                with tracer.start_as_current_span("save results", attributes={"kie_mcp.task": task.id}):
                    await self._save_files(self._services.downloader)
            self.ended.set()
            backoff = 1
            while self._ledger_error:
                await self._services.clock.idle(backoff)
                backoff = min(2 * backoff, LONGEST_LEDGER_BACKOFF)
                await self._save_task()
        except Exception:
            # The task's row keeps its last saved state. So the task is taken over again when a server starts or
            # get_task is called.
            logger.exception("task %s", task.id)

    async def _recover(self) -> None:
        """End the task as failed or unknown if it still has no answer to its create request, as after a crash."""
        task = self.task
        note = await self._services.balance.explain(task) if task.state == "submitting" else ""
        transition = transitions.recover(task.state, note, advice=self._services.client.advice)
        if transition.state != task.state:
            await self._finish(transition)

    async def _start_with_uploads(self, order: Order, bodies: Bodies) -> None:
        """Upload local files and send the create request; if KIE has lost an uploaded file, do both a second time."""
        task, refs, balance = self.task, order.call.references(), self._services.balance
        resolved = await self._services.references.resolve(refs)
        sent = bodies(resolved)
        states_charge = all(routes.find(route_id).states_charge for route_id in sent)
        await balance.note_before(task, states_charge=states_charge)
        try:
            await self._try_routes(sent, resolved.values())
        except ApiError as error:
            if not codes.find(error.code).upload_gone or not await self._services.uploader.forget(resolved.values()):
                raise
            logger.info("task %s: %s", task.id, error)
            resolved = await self._services.references.resolve(refs)
            await self._try_routes(bodies(resolved), resolved.values())

    async def _try_routes(self, bodies: Mapping[str, dict[str, Any]], sources: Iterable[str]) -> None:
        """Send the create request on one route after the other, until a route offers the model.

        Args:
            bodies: The body of the create request for the id of each route.
            sources: KIE's URLs and ids of the files and tasks that the call names.
        """
        task = self.task
        for number, (route_id, body) in enumerate(bodies.items(), start=1):
            route = routes.find(route_id)
            task.route, task.request = route_id, body if route.repeated else note_files(sources)
            try:
                await self._create_on(route, body)
            except NotOffered:
                # The error says that KIE created no task on this route. So trying the next route cannot create a second
                # task.
                if number == len(bodies):
                    raise
            else:
                return

    async def _create_on(self, route: Route, body: Mapping[str, Any]) -> None:
        """Send the create request on one route, and save KIE's answer before any caller sees the answer."""
        task = self.task
        self._expects_callback = bool(route.callback) and self._services.callbacks.are_received
        if route.at_once or route.repeated:
            answer = await self._services.client.create_and_read(route, body, task)
            task.state = "running"
            if route.repeated:
                self._note_sending()
            await self._apply(route, status.parse_status(route.shape, answer))
            if not task.final:
                await self._save_task()
        else:
            kie_id = await self._services.client.create_task(route.create, body, task)
            self._created_at = self._running_at = self._services.clock.monotonic()
            await self._save_task(state="running", kie_id=kie_id)

    def _poll_delay(self, route: Route, *, poll_now: bool) -> float:
        """Return the seconds until the next poll of the task, or until the soonest possible poll if `poll_now`."""
        if poll_now:
            return repeated_requests.find_wait(self.task, self._services.clock.time()) if route.repeated else 0
        return polling.poll_delay(
            self._age,
            self.duration,
            failed_polls=self._failed_polls,
            doubted=self._missing_since is not None and self._age > transitions.GRACE_SECONDS,
            repeated=route.repeated,
            # While KIE does not know the task, a callback does not tell whether KIE has lost it.
            relaxed=self._expects_callback and self._services.callbacks.arrive and self._missing_since is None,
        )

    async def _wait_for_poll(self, route: Route, seconds: float) -> bool:
        """Wait `seconds`, or less if a callback or `poll_soon()` ends the wait; return whether a callback arrived."""
        clock = self._services.clock
        if not self._was_called:
            await self._sleep_until_woken(clock.sleep, seconds)
        if not self._was_called:
            return False
        since, gap = (
            (self._last_poll, REPEAT_SECONDS) if route.repeated else (self._last_call_poll, CALLBACK_GAP_SECONDS)
        )
        await clock.sleep(max(since + gap - clock.monotonic(), 0))
        self._was_called, self._last_call_poll = False, clock.monotonic()
        return True

    async def _poll(self, route: Route) -> None:
        """Poll KIE once: read the task's status, and update the task."""
        task = self.task
        self._last_poll = self._services.clock.monotonic()
        try:
            answer = await self._read_status(route)
        except ApiError as error:
            log = logger.warning if isinstance(error, AuthError) else logger.info
            log("task %s cannot be asked after: %s", task.id, error)
            self._failed_polls += 1
            self._missing_since = None
            silence = self._services.clock.monotonic() - self._last_answer
            if note := transitions.explain_silence(error, self._failed_polls, silence, self._services.client.advice):
                await self._notice_settling()
                await self._change_note(note)
            if error.retry_after:
                await self._services.clock.sleep(error.retry_after)
        else:
            self._failed_polls = 0
            self._last_answer = self._services.clock.monotonic()
            await self._apply(route, status.parse_status(route.shape, answer))

    async def _read_status(self, route: Route) -> Any:
        """Return KIE's status answer; on a route without a status URL, the create request is sent again for it."""
        client = self._services.client
        if route.repeated:
            return await client.repeat_create(route, repeated_requests.find_body(self.task), self._save_sending)
        return await client.read_status(route.status, self.task.kie_id or "")

    async def _save_sending(self) -> None:
        """Save the time before a create request is sent again, because this process may die before KIE answers."""
        await self._notice_settling()
        self._note_sending()
        await self._save_task()

    def _note_sending(self) -> None:
        """Note that the create request of a repeated route is sent now, for this process and for the next one."""
        self._last_poll = self._services.clock.monotonic()
        repeated_requests.note_sending(self.task, self._services.clock.time())

    async def _apply(self, route: Route, answer: Status) -> None:
        """Update the task from a status answer of KIE; if the task has ended, save it."""
        task, now = self.task, self._services.clock.monotonic()
        await self._notice_settling()
        if task.final:
            return
        if answer.state != "missing":
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        missing = 0 if self._missing_since is None else now - self._missing_since
        times = Times(self._age, now - self._last_progress, self.duration.seconds, missing)
        transition = transitions.decide(task.state, route, answer, times, advice=self._services.client.advice)
        if transition.progresses:
            self._last_progress = now
        if transition.state == "running":
            self._running_at = now
            if transition.note or failures.has_no_known_state(task):
                await self._change_note(transition.note)
        else:
            task.seconds, task.note = answer.seconds or self._estimate_seconds(), transition.note
        if transition.state == "succeeded":
            task.results = [Result(media.url, id=media.id, label=media.label) for media in transition.media]
            task.texts = list(transition.texts)
            task.kind = adoption.find_kind(task)
        if transition.state == "failed" and codes.find(answer.code).upload_gone:
            with suppress(LedgerError):
                await self._services.uploader.forget(find_files(task))
        if transition.state != task.state:
            await self._finish(transition, answer.impossible_credits)

    async def _notice_settling(self) -> None:
        """Take over the end of the task if a caller has settled it with `resolve_task`, here or in another process."""
        if failures.has_no_known_state(self.task):
            with suppress(LedgerError):
                row = await self._services.ledger.find(self.task.id)
                if row and row.final:
                    self.note_settled(row)

    async def _change_note(self, note: str) -> None:
        """Save a note about the running task."""
        if note != self.task.note and not self.task.final:
            self.task.note = note
            await self._save_task()

    async def _save_files(self, downloader: Downloader) -> None:
        """Download the task's files; retry after growing pauses until all files are saved or KIE has deleted them."""
        attempt = 0
        while not await self._try_to_save_files(downloader):
            self.ended.set()
            backoff = DOWNLOAD_BACKOFF[min(attempt, len(DOWNLOAD_BACKOFF) - 1)]
            await self._sleep_until_woken(self._services.clock.idle, backoff)
            attempt += 1
            self._reopen()

    async def _try_to_save_files(self, downloader: Downloader) -> bool:
        """Try once to save the files and sidecars.

        Returns:
            True if no retry is needed, because all files are saved or KIE has deleted them.
        """
        task, download_error = self.task, None
        try:
            if task.model == MIDI_MODEL and task.texts:
                await write_notes(task, downloader)
            await downloader.download(task)
        except (OSError, httpx2.HTTPError, KieMcpError) as error:
            download_error = error
        task.kind = adoption.find_kind(task)
        sidecar_note = await self._services.write_sidecars(task)
        if not download_error:
            task.saved, task.note = True, sidecar_note
        elif (transition := transitions.retry_saving(download_error, self._age)).state != task.state:
            await self._finish(transition)
            return True
        else:
            reason = failures.describe_cause(download_error)
            task.note = f"Not saved: {reason}. It is tried again; the links stay good for 14 days."
        await self._save_task()
        return task.saved
