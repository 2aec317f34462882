"""Test the properties of JumpingClock on which other tests rely."""

import socket
import threading
import time
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
import pytest

from kie_mcp.ledger.ledger import Ledger
from support.clock import JumpingClock, JumpingLoop, let_others_run, wait_until

pytestmark = pytest.mark.anyio


async def sleep_and_note(clock: JumpingClock, seconds: float, woken: list[float]) -> None:
    await clock.sleep(seconds)
    woken.append(clock.now)


async def nothing_happens(clock: JumpingClock) -> None:
    """Check that the clock does not move, although the sleepers get many chances to move it."""
    before = clock.now
    for _ in range(10):
        await let_others_run()
    assert clock.now == before


async def test_an_hour_passes_at_once_when_nobody_else_is_there(clock: JumpingClock) -> None:
    began, before = time.monotonic(), clock.now
    await clock.sleep(3600)
    assert clock.time() == clock.monotonic() == before + 3600
    assert time.monotonic() - began < 60


async def test_sleepers_wake_in_the_order_of_their_deadlines_at_exactly_these_times(clock: JumpingClock) -> None:
    before, woken = clock.now, list[float]()
    async with anyio.create_task_group() as group:
        for seconds in (30, 1, 7):
            group.start_soon(sleep_and_note, clock, seconds, woken)
    assert [each - before for each in woken] == [1, 7, 30]


async def test_a_sleeper_that_comes_later_with_an_earlier_deadline_wakes_first(clock: JumpingClock) -> None:
    before, woken = clock.now, list[float]()

    async def sleep_twice() -> None:
        await sleep_and_note(clock, 1, woken)
        await sleep_and_note(clock, 2, woken)

    async with anyio.create_task_group() as group:
        group.start_soon(sleep_and_note, clock, 10, woken)
        group.start_soon(sleep_twice)
    assert [each - before for each in woken] == [1, 3, 10]


async def test_two_sleepers_until_the_same_time_both_wake(clock: JumpingClock) -> None:
    before, woken = clock.now, list[float]()
    async with anyio.create_task_group() as group:
        group.start_soon(sleep_and_note, clock, 5, woken)
        group.start_soon(sleep_and_note, clock, 5, woken)
    assert [each - before for each in woken] == [5, 5]


async def test_no_time_passes_while_a_task_can_go_on(clock: JumpingClock) -> None:
    """Time must not pass even if the task lets others run often, because any step may send an answer."""
    woken = list[float]()
    async with anyio.create_task_group() as group:
        group.start_soon(sleep_and_note, clock, 1, woken)
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            await anyio.lowlevel.checkpoint()
            assert not woken
    assert woken


async def test_no_time_passes_while_a_ledger_connection_is_in_use(clock: JumpingClock, tmp_path: Path) -> None:
    ledger = await Ledger.open(tmp_path)
    woken = list[float]()
    try:
        async with anyio.create_task_group() as group:
            async with ledger.database.reading():
                assert JumpingClock.busy == 1
                group.start_soon(sleep_and_note, clock, 1, woken)
                await nothing_happens(clock)
            assert JumpingClock.busy == 0
    finally:
        await ledger.close()
    assert woken


async def test_no_time_passes_while_a_worker_thread_runs(clock: JumpingClock) -> None:
    release, woken = threading.Event(), list[float]()
    async with anyio.create_task_group() as group:
        group.start_soon(partial(anyio.to_thread.run_sync, release.wait))
        group.start_soon(sleep_and_note, clock, 1, woken)
        try:
            await nothing_happens(clock)
        finally:
            release.set()
    assert woken


async def test_no_time_passes_while_it_is_held(clock: JumpingClock) -> None:
    woken = list[float]()
    async with anyio.create_task_group() as group:
        with JumpingClock.hold():
            group.start_soon(sleep_and_note, clock, 1, woken)
            await nothing_happens(clock)
    assert woken


async def test_idle_does_not_make_time_pass_but_ends_when_others_do(clock: JumpingClock) -> None:
    before, idled = clock.now, anyio.Event()

    async def idle() -> None:
        await clock.idle(5)
        idled.set()

    async with anyio.create_task_group() as group:
        group.start_soon(idle)
        await nothing_happens(clock)
        await clock.sleep(2)
        assert not idled.is_set()
        await clock.sleep(2)
        assert not idled.is_set()
        await clock.sleep(2)
        await idled.wait()
    assert clock.now == before + 6


async def test_a_background_loop_whose_time_has_come_goes_on_before_time_passes_again(clock: JumpingClock) -> None:
    before, seen = clock.now, list[float]()

    async def idle() -> None:
        await clock.idle(1)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        seen.append(clock.now)

    async with anyio.create_task_group() as group:
        for start in (idle, partial(clock.sleep, 1), partial(clock.sleep, 50)):
            group.start_soon(start)
    assert seen == [before + 1]


async def test_a_sleeper_that_is_cancelled_holds_up_nobody(clock: JumpingClock) -> None:
    before = clock.now
    await clock.wait_for_first(partial(clock.sleep, 1), partial(clock.sleep, 1000))
    await clock.sleep(10)
    assert clock.now == before + 11


async def test_a_time_that_a_test_sets_is_not_set_back_by_sleepers(clock: JumpingClock) -> None:
    woken, later = list[float](), clock.now + 500
    async with anyio.create_task_group() as group:
        group.start_soon(sleep_and_note, clock, 1, woken)
        await anyio.lowlevel.checkpoint()
        clock.now = later
    assert woken == [later]


async def test_no_time_passes_while_a_message_is_on_its_way_between_two_sockets(clock: JumpingClock) -> None:
    one, two = socket.socketpair()
    woken = list[float]()

    async def answer(stream: anyio.abc.ByteStream) -> None:
        for _ in range(100):
            await stream.send(await stream.receive())

    async with (
        await anyio.abc.UNIXSocketStream.from_socket(one) as here,
        await anyio.abc.UNIXSocketStream.from_socket(two) as there,
        anyio.create_task_group() as group,
    ):
        group.start_soon(answer, there)
        group.start_soon(sleep_and_note, clock, 1, woken)
        for _ in range(100):
            await here.send(b"x")
            await here.receive()
        assert not woken
    assert woken


async def test_sleepers_of_two_threads_share_a_clock(clock: JumpingClock) -> None:
    before, woken = clock.now, list[float]()
    run = partial(anyio.run, sleep_and_note, clock, 3, woken, backend_options={"loop_factory": JumpingLoop})
    thread = threading.Thread(target=run)
    with JumpingClock.hold():
        thread.start()
        await wait_until(lambda: len(clock.wake_times) == 1)
    await clock.sleep(5)
    await anyio.to_thread.run_sync(thread.join)
    assert woken == [before + 3]
    assert clock.now >= before + 5


def test_another_event_loop_is_refused_with_the_reason(clock: JumpingClock) -> None:
    with pytest.raises(RuntimeError, match=r"only the event loop support\.clock\.JumpingLoop tells: pass"):
        anyio.run(clock.sleep, 1)
