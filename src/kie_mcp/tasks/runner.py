"""Every task of one server: asked for, waited for, found again; several servers may share the ledger."""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from anyio.abc import TaskGroup

from kie_mcp.catalog.fields import Ref, task_id
from kie_mcp.catalog.registry import MODELS
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, InvalidCall
from kie_mcp.kie import routes, status
from kie_mcp.kie.client import CREATES, KieClient
from kie_mcp.ledger.ledger import LEASE, Ledger, LedgerError
from kie_mcp.ledger.task import Task, new_id
from kie_mcp.tasks import adoption, failures
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.money import Quote, Rules, quote, together
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.polling import NEWEST, DurationEstimate, estimate_duration
from kie_mcp.tasks.uploads import Uploader
from kie_mcp.tasks.watcher import Change, Parts, Watcher

logger = logging.getLogger(__name__)

ANSWERED_WITHIN = 30
"""Seconds that somebody who asks after a task waits for KIE to accept it."""
BEAT = LEASE / 3
"""Seconds between two signs of life, while tasks are watched."""
CONFIRMED_FOR = 300
"""Seconds that a person has to agree to a cost."""
NOT_CREATED = "not created"
"""What a person says of a task that KIE never took."""

Report = Callable[[Sequence[Task]], Awaitable[None]]


class Runner:
    """Runs tasks; what it is in the middle of, the ledger knows too."""

    def __init__(
        self,
        client: KieClient,
        ledger: Ledger,
        publisher: Uploader,
        saver: Downloader | None,
        group: TaskGroup,
        *,
        rules: Rules | None = None,
        callback_url: str = "",
        usual_seconds: float | None = None,
        on_change: Change | None = None,
        clock: Clock,
    ) -> None:
        """Tie the parts together.

        Args:
            client: KIE.
            ledger: What is known of tasks, here and in other processes.
            publisher: How files get to KIE.
            saver: How results get to the disk; nothing leaves them at KIE.
            group: What tasks run in.
            rules: What the operator allows.
            callback_url: Where KIE reports finished tasks, if anybody listens there.
            usual_seconds: How long tasks take where that does not depend on the model.
            on_change: Told of a task whose new state is on disk; must neither fail nor wait for anybody.
            clock: Time.
        """
        self.client = client
        self.ledger = ledger
        self.publisher = publisher
        self.clock = clock
        self.id = new_id("s")
        """This process's, among those that share the ledger."""
        self._parts = Parts(client, ledger, publisher, saver, clock, on_change)
        self._group = group
        self._rules = rules or Rules()
        self._callback_url = callback_url
        self._usual_seconds = usual_seconds
        self._watched: dict[str, Watcher] = {}
        self._beaten = float("-inf")
        client.turn = self._turn

    async def submit(self, order: Order, *, confirm: str = "") -> Task:
        """Start a task and return it as soon as KIE has accepted it; some have ended by then.

        A call that was made before, not long ago, is that task; its id is not the order's then.

        Args:
            order: What to run.
            confirm: What `ConfirmationNeeded` gave out, once a person has agreed.

        Raises:
            KieMcpError: When it was not accepted, with what that cost.
        """
        try:
            with failures.before_kie_is_asked():
                contents, fingerprint, known = await self._recall(order)
                if known:
                    return await self.get(known.id)
                watch = await self._prepare(order, fingerprint, contents)
                task = watch.task
                self._rules.caps.check(task, await self.ledger.spent(task))
                await self._agree(task, confirm)
                await self._stay()
                # Whoever asks after it from the moment it is written down finds it watched.
                self._watched[task.id] = watch
                known = await self.ledger.add(
                    task, repeats_since=self._repeats_since(), check=partial(self._rules.caps.check, task)
                )
        except BaseException:
            self._watched.pop(order.id, None)
            raise
        if known:
            del self._watched[task.id]
            return await self.get(known.id)
        # A caller who hangs up must not tear the create apart.
        self._group.start_soon(self._run, watch, order)
        await watch.answered.wait()
        if watch.error:
            raise watch.error
        return task

    async def made_before(self, order: Order) -> Task | None:
        """The task that a call would be answered with, where the same was made not long ago; nothing is sent.

        Raises:
            InvalidCall: When a file that the call names cannot be read, or the model does not take it.
        """
        return (await self._recall(order))[2]

    async def quote(self, order: Order) -> Quote:
        """What a call is likely to cost; nothing is sent."""
        tariff, _ = order.call.tariff()
        return quote(order.call, await self.ledger.charges(order.call.id, tariff), order.live_price)

    async def agree(self, orders: Sequence[Order], confirm: str = "") -> dict[str, str]:
        """Make sure that several calls together are allowed and that a person wants to pay for them; nothing is sent.

        Args:
            orders: What to run; what was made before is not paid for again.
            confirm: What `ConfirmationNeeded` gave out, once a person has agreed to them all.

        Returns:
            What to confirm each of them with, by its id.

        Raises:
            KieMcpError: When one of them, or all together, may not be run.
        """
        tasks = []
        with failures.before_kie_is_asked():
            for order in orders:
                contents, fingerprint, known = await self._recall(order)
                if not known:
                    tasks.append((await self._prepare(order, fingerprint, contents)).task)
                    self._rules.caps.check(tasks[-1], await self.ledger.spent(tasks[-1]))
            if not tasks:
                return {}
            whole = together(tasks)
            replace(self._rules.caps, task=None).check(whole, await self.ledger.spent(whole))
            await self._agree(whole, confirm)
            above = whole.reserved > self._rules.confirm_above
            return {task.id: await self._ask_for(task) for task in tasks if above}

    async def get(self, id_: str) -> Task:
        """The task with this id, ours or KIE's; an open one is watched from now on, here or elsewhere.

        While KIE is being asked to run it, that is waited for a little. A task that is not in the ledger is looked up
        at KIE, and adopted.

        Raises:
            InvalidCall: When there is no such task.
            ApiError: When it is not in the ledger and KIE cannot be asked.
        """
        id_ = task_id(id_)
        task = await self.ledger.find(id_)
        if not task:
            task = await adoption.adopt(self.client, id_, now=self.clock.time())
            task = await self.ledger.add(task) or task
        if not task.saved and task.id not in self._watched:
            await self._take_up(task)
        watch = self._watched.get(task.id)
        if not watch:
            return task if task.saved else await self.ledger.find(task.id) or task
        if watch.task.state in ("prepared", "submitting"):
            await self.clock.first(watch.answered.wait, partial(self.clock.sleep, ANSWERED_WITHIN))
        watch.ask()
        return watch.task

    async def wait(self, tasks: Sequence[Task], seconds: float, report: Report | None = None) -> list[Task]:
        """Wait until all of the tasks have ended and their files are saved, but no longer than this.

        Returns:
            The tasks as they are then.
        """
        until = self.clock.monotonic() + seconds
        found = list(tasks)
        for place, _ in enumerate(found):
            while not self._is_over(found[place]) and (left := until - self.clock.monotonic()) > 0:
                if report:
                    await report(found)
                if watch := self._watched.get(found[place].id):
                    # Whoever waits does not make it be looked at more often.
                    await self.clock.first(watch.over.wait, partial(self.clock.sleep, min(left, 3)))
                    found[place] = watch.task
                else:
                    # Another server watches it.
                    await self.clock.sleep(min(left, 1))
                    found[place] = await self.get(found[place].id)
        return found

    def _is_over(self, task: Task) -> bool:
        """Whether there is nothing to wait for."""
        if watch := self._watched.get(task.id):
            return watch.over.is_set()
        return task.done or (task.final and bool(task.note))

    async def resolve(self, id_: str, outcome: str) -> Task:
        """Settle what became of a create whose answer got lost.

        Args:
            id_: The task.
            outcome: `not created`, or KIE's id of the task as its log shows it.

        Raises:
            InvalidCall: When the task is not unknown, or KIE does not know the id.
            ApiError: When KIE cannot be asked.
        """
        task = await self.get(id_)
        if task.state != "unknown":
            raise InvalidCall(f"Task {task.id} is {task.state}: there is nothing to settle.", "Ask get_task.")
        if " ".join(re.findall(r"\w+", outcome.casefold().replace("_", " "))) == NOT_CREATED:
            task.state, task.credits, task.error = "failed", 0, failures.SETTLED.as_dict()
        else:
            await self._identify(task, outcome.strip())
        await self._parts.write(task)
        return await self.get(task.id)

    async def usual(self, task: Task) -> DurationEstimate:
        """How long such a task usually takes, by the last ones of its model and duration."""
        if watch := self._watched.get(task.id):
            return watch.usual
        lengths = await self.ledger.lengths(task.model, task.arguments.get("duration"), newest=NEWEST)
        model = MODELS.get(task.model)
        return estimate_duration(lengths, self._usual_seconds or (model.usual_seconds if model else 60))

    def busy(self, task: Task) -> bool:
        """Whether the task has not ended, or its files are being saved and that has not failed yet."""
        return not task.final or (task.id in self._watched and not task.note)

    async def resume(self) -> None:
        """Take up what an earlier process left, and from now on what other servers leave."""
        await self._take_over()
        self._group.start_soon(self._live)

    async def leave(self) -> None:
        """Let other servers have what this one watched."""
        with suppress(LedgerError):
            await self.ledger.leave(self.id)

    async def _live(self) -> None:
        while True:
            await self.clock.idle(BEAT)
            try:
                if self._watched:
                    await self._stay()
                await self._take_over()
            except LedgerError as error:
                logger.warning("The ledger cannot be used: %s", failures.reason(error))

    async def _take_over(self) -> None:
        for id_ in await self.ledger.unwatched(self.id, self.clock.time()):
            if id_ not in self._watched and (task := await self.ledger.find(id_)):
                await self._take_up(task)

    async def _stay(self) -> None:
        """Tell the other servers that this one watches its tasks."""
        if self.clock.monotonic() >= self._beaten + BEAT:
            self._beaten = self.clock.monotonic()
            self.client.share_reads(await self.ledger.beat(self.id, self.clock.time()))

    async def _turn(self, id_: str) -> float:
        """Let a task have a turn to be sent, and write down that it is; what waits for one has not been."""
        task = self._watched[id_].task
        wait = await self.ledger.turn(self.client.account, self.clock.time, *CREATES, replace(task, state="submitting"))
        task.state = task.state if wait else "submitting"
        return wait

    async def _recall(self, order: Order) -> tuple[Mapping[Ref, str], str, Task | None]:
        """What a call refers to, its mark, and the task it would be answered with, where it was made before."""
        contents = await self.publisher.contents(order.call.references())
        fingerprint, since = order.fingerprint(contents), self._repeats_since()
        return contents, fingerprint, None if since is None else await self.ledger.repeated(fingerprint, since)

    def _repeats_since(self) -> float | None:
        return self.clock.time() - self._rules.repeat_window if self._rules.repeat_window else None

    async def _prepare(self, order: Order, fingerprint: str, contents: Mapping[Ref, str]) -> Watcher:
        """The order as a task, not written down yet."""
        call, cost = order.call, await self.quote(order)
        tariff, units = call.tariff()
        task = Task(
            id=order.id,
            tool=order.tool,
            model=call.id,
            kind=call.kind,
            route="",
            arguments=order.noted(contents),
            created=self.clock.time(),
            estimate=cost.known,
            basis=cost.basis,
            reserved=cost.reserve,
            tariff=tariff,
            units=units,
            fingerprint=fingerprint,
            session=self.id,
        )
        return Watcher(task, self._parts, await self.usual(task))

    async def _agree(self, task: Task, confirm: str) -> None:
        """Make sure that a person wants to pay that much."""
        if task.reserved <= self._rules.confirm_above:
            return
        if confirm and await self.ledger.is_confirmed(confirm, task.fingerprint, self.clock.time()):
            return
        raise failures.to_confirm(task, await self._ask_for(task), stale=bool(confirm), minutes=CONFIRMED_FOR // 60)

    async def _ask_for(self, task: Task) -> str:
        """What a person may agree to a task with."""
        id_ = new_id("c")
        await self.ledger.ask_for_confirmation(id_, task.fingerprint, self.clock.time(), CONFIRMED_FOR)
        return id_

    def _bodies(self, order: Order, sent_to: Mapping[Ref, str]) -> dict[str, dict[str, Any]]:
        """The requests to try, best way first."""
        ways = (order.route,) if order.route else routes.ways(order.call, service=self.client.service)
        return {
            way: routes.body(order.call, way, lambda ref: sent_to.get(ref, str(ref)), self._callback_url, order.extra)
            for way in ways
        }

    async def _take_up(self, known: Task) -> None:
        """Watch a task that nobody watches."""
        if known.final and not self._parts.saver:
            # What is only to be saved is left to a server that saves.
            return
        await self._stay()
        task = await self.ledger.claim(known.id, self.id, self.clock.time())
        usual = await self.usual(known)
        if task and task.id not in self._watched:
            self._watched[task.id] = watch = Watcher(task, self._parts, usual)
            self._group.start_soon(self._run, watch, None)

    async def _run(self, watch: Watcher, order: Order | None) -> None:
        with self._until_over(watch):
            if order:
                await watch.create(order, lambda sent_to: self._bodies(order, sent_to))
            await watch.see_through(at_once=not order)

    @contextmanager
    def _until_over(self, watch: Watcher) -> Iterator[None]:
        try:
            yield
        finally:
            del self._watched[watch.task.id]
            watch.answered.set()
            watch.over.set()

    async def _identify(self, task: Task, kie_id: str) -> None:
        """Take this for KIE's id of a task.

        Raises:
            InvalidCall: When it cannot be.
            ApiError: When KIE cannot be asked.
        """
        route = routes.find(task.route)
        if route.at_once or route.repeated:
            raise InvalidCall(
                f"KIE gives no id to what {task.model} makes.", f"Say {NOT_CREATED!r}, or leave it as it is."
            )
        if known := await self.ledger.find(kie_id):
            raise InvalidCall(
                f"{kie_id} is task {known.id} already.",
                f"If that is the lost one, go on with it, and say {NOT_CREATED!r} of this one. "
                "Otherwise look for another id at https://kie.ai/logs.",
            )
        answer = await self.client.status(route.status, kie_id)
        if not isinstance(answer, dict):
            raise ApiError("KIE's answer does not say whether it knows the task.", "Try again.", retryable=True)
        if not adoption.record(answer, kie_id) or status.read(route.shape, answer).state == "missing":
            raise InvalidCall(
                f"KIE knows no task {kie_id} of this kind.",
                f"Copy its id from https://kie.ai/logs, or say {NOT_CREATED!r}.",
            )
        task.state, task.kie_id, task.error, task.finished, task.saved = "running", kie_id, None, None, False
