"""Hosts of results that send slowly hold up nobody else, and are given up."""

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import httpx2
import pytest
from support.clock import JumpingClock

from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.tasks.download_slots import CONCURRENT_DOWNLOADS, CONCURRENT_DOWNLOADS_PER_HOST
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

PICTURE = render_file("1.png", MediaContent("a heron", "1"))
Content = Callable[[JumpingClock], AsyncIterator[bytes]]


async def drip(clock: JumpingClock) -> AsyncIterator[bytes]:
    """A byte every five seconds, for ever: no timeout between two bytes is ever reached."""
    while True:
        await clock.sleep(5)
        yield b"\0"


async def stay_silent(clock: JumpingClock) -> AsyncIterator[bytes]:
    while True:
        await clock.sleep(5)
        yield b""


async def begin_well(clock: JumpingClock) -> AsyncIterator[bytes]:
    yield bytes(1_000_000)
    async for each in drip(clock):
        yield each


async def trickle(clock: JumpingClock) -> AsyncIterator[bytes]:
    """Twice the lowest speed, for ever."""
    while True:
        await clock.sleep(1)
        yield bytes(2_000)


async def send_forty_megabytes(clock: JumpingClock) -> AsyncIterator[bytes]:
    """A whole file, for longer than a small file may take."""
    yield PICTURE
    for _ in range(400):
        await clock.sleep(1)
        yield bytes(100_000)


class Hosts(httpx2.AsyncBaseTransport):
    """Hosts of results: one whose name begins with `slow` sends `content`, any other sends the picture."""

    def __init__(self, clock: JumpingClock, content: Content = drip, *, headers: bool = True) -> None:
        self._clock = clock
        self._content = content
        self._headers = headers
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.host)
        if not request.url.host.startswith("slow"):
            return httpx2.Response(200, content=PICTURE)
        while not self._headers:
            await self._clock.sleep(5)
        return httpx2.Response(200, content=self._content(self._clock))


class Meeting:
    """Downloads of one process, each of its own task."""

    def __init__(self, hosts: Hosts, clock: JumpingClock, folder: Path) -> None:
        self._client = KieClient("key", transport=hosts, clock=clock)
        self._downloader = Downloader(self._client, FolderStorage(folder), guarded=False)
        self._clock = clock
        self._begun = clock.now
        self.saved: dict[str, float] = {}
        """For each saved result: its host, and after how many seconds it was saved."""
        self._numbers = itertools.count()
        self.failed: dict[str, tuple[float, str]] = {}
        """For each other: after how many seconds it was given up, and why."""

    async def download(self, host: str) -> None:
        number = next(self._numbers)
        task = Task(
            id=f"t_{host}{number}",
            tool="nano_banana_image",
            model="google/nano-banana",
            kind="image",
            route="jobs",
            arguments={},
            created=self._begun,
            results=[Result(f"https://{host}/1.png")],
        )
        try:
            await self._downloader.download(task)
        except TimeoutError as error:
            self.failed[host] = self._clock.now - self._begun, str(error)
        else:
            self.saved[host] = self._clock.now - self._begun

    async def download_all(self, *hosts: str) -> None:
        async with self._client, anyio.create_task_group() as group:
            for each in hosts:
                group.start_soon(self.download, each)


async def test_a_fifth_result_is_saved_while_four_drip(clock: JumpingClock, tmp_path: Path) -> None:
    meeting = Meeting(Hosts(clock), clock, tmp_path)
    await meeting.download_all(*(f"slow{n}.test" for n in range(4)), "quick.test")
    assert meeting.saved == {"quick.test": 0}
    assert len(meeting.failed) == 4


async def test_a_host_with_many_slow_results_leaves_slots_for_others(clock: JumpingClock, tmp_path: Path) -> None:
    hosts = Hosts(clock)
    meeting = Meeting(hosts, clock, tmp_path)
    await meeting.download_all(*["slow.test"] * 3 * CONCURRENT_DOWNLOADS, "quick.test", "other.test")
    assert meeting.saved == {"quick.test": 0, "other.test": 0}
    assert hosts.asked.index("other.test") == CONCURRENT_DOWNLOADS_PER_HOST + 1 < CONCURRENT_DOWNLOADS


async def test_when_every_slot_is_slow_the_next_result_waits_half_a_minute(clock: JumpingClock, tmp_path: Path) -> None:
    meeting = Meeting(Hosts(clock), clock, tmp_path)
    await meeting.download_all(*(f"slow{n}.test" for n in range(CONCURRENT_DOWNLOADS)), "quick.test")
    assert meeting.saved == {"quick.test": 30}


@pytest.mark.parametrize(
    ("content", "headers", "seconds"),
    [(drip, True, 30), (stay_silent, True, 30), (begin_well, True, 60), (drip, False, 30)],
    ids=["drips", "silent", "begins well", "no headers"],
)
async def test_a_host_that_sends_less_than_a_kilobyte_a_second_is_given_up(
    clock: JumpingClock, tmp_path: Path, content: Content, seconds: float, *, headers: bool
) -> None:
    meeting = Meeting(Hosts(clock, content, headers=headers), clock, tmp_path)
    await meeting.download_all("slow.test")
    assert meeting.failed == {"slow.test": (seconds, "the host sent less than 1 kB a second for 30 s")}


async def test_a_large_file_has_the_time_that_it_needs(clock: JumpingClock, tmp_path: Path) -> None:
    meeting = Meeting(Hosts(clock, send_forty_megabytes), clock, tmp_path)
    await meeting.download_all("slow.test")
    assert meeting.saved == {"slow.test": 400}


async def test_a_host_that_is_just_fast_enough_may_not_go_on_for_ever(clock: JumpingClock, tmp_path: Path) -> None:
    meeting = Meeting(Hosts(clock, trickle), clock, tmp_path)
    await meeting.download_all("slow.test")
    assert meeting.failed == {"slow.test": (330, "the download brought only 0.7 MB in 330 s")}
