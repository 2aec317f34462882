"""What a caller reads: the object and the text say the same, whatever happened."""

import re
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult
from support.tasks import NOW, task

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import ApiError, InvalidCall, KieMcpError, UnknownOutcome
from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server import answers
from kie_mcp.server.app import App, Context
from kie_mcp.server.build import build
from kie_mcp.server.progress import progress_of
from kie_mcp.server.tools.dispatcher import list_tools


def text(result: CallToolResult) -> str:
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def answer(result: CallToolResult) -> dict[str, Any]:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


URL = "https://files.example/a.mp4"
FAILED = ApiError("KIE says 500: it broke", "Try again.", retryable=True).as_dict()

TASKS: list[tuple[str, Task, dict[str, Any], str]] = [
    (
        "one that runs",
        task(estimate=(60, 90), basis="live price"),
        {
            "task_id": "t_1",
            "status": "running",
            "model": "kling-3.0/video",
            "estimated_credits": [60, 90],
            "basis": "live price",
            "elapsed_seconds": 100,
            "usual_seconds": 150,
            "next_step": "get_task with this id; do not repeat the call.",
        },
        """t_1 running (kling-3.0/video, about 60 to 90 credits, live price, 100 s of usually 150 s)
get_task with this id; do not repeat the call.""",
    ),
    (
        "one file",
        task(
            state="succeeded", credits=55.5, finished=NOW - 10, results=[Result(URL, "/out/a-1.mp4", "video/mp4", "id")]
        ),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [{"url": URL, "path": "/out/a-1.mp4", "mime_type": "video/mp4"}],
            "credits": 55.5,
            "elapsed_seconds": 90,
        },
        f"t_1 succeeded (kling-3.0/video, 55.5 credits, 90 s)\nSaved as /out/a-1.mp4\n1. {URL}",
    ),
    (
        "several files",
        task(
            state="succeeded",
            results=[
                Result(URL, f"/o u t/v-1.5-{n}.mp4", "video/mp4", label=label) for n, label in ((1, "a"), (2, ""))
            ],
        ),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [
                {"url": URL, "path": "/o u t/v-1.5-1.mp4", "mime_type": "video/mp4", "label": "a"},
                {"url": URL, "path": "/o u t/v-1.5-2.mp4", "mime_type": "video/mp4"},
            ],
            "elapsed_seconds": 100,
        },
        f"t_1 succeeded (kling-3.0/video, 100 s)\nSaved as /o u t/v-1.5-<n>.mp4\n1. a {URL}\n2. {URL}",
    ),
    (
        "files of different names",
        task(state="succeeded", results=[Result(URL, "/out/a-1.mp4"), Result(URL, "/out/a-2-2.mp4")]),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [{"url": URL, "path": "/out/a-1.mp4"}, {"url": URL, "path": "/out/a-2-2.mp4"}],
            "elapsed_seconds": 100,
        },
        f"t_1 succeeded (kling-3.0/video, 100 s)\n1. /out/a-1.mp4 {URL}\n2. /out/a-2-2.mp4 {URL}",
    ),
    (
        "some files saved and some not",
        task(state="succeeded", results=[Result(URL, "/out/a-1.mp4"), Result(URL)], note="Not saved: disk\nfull."),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [{"url": URL, "path": "/out/a-1.mp4"}, {"url": URL}],
            "elapsed_seconds": 100,
            "note": "Not saved: disk full.",
        },
        f"t_1 succeeded (kling-3.0/video, 100 s)\n1. /out/a-1.mp4 {URL}\n2. {URL}\nNot saved: disk full.",
    ),
    (
        "a file without a link",
        task(
            state="succeeded",
            results=[Result("", "/out/a-1.mid", "audio/midi")],
            estimate=(0, 0),
            basis="median of your last 3",
        ),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [{"path": "/out/a-1.mid", "mime_type": "audio/midi"}],
            "estimated_credits": [0, 0],
            "basis": "median of your last 3",
            "elapsed_seconds": 100,
        },
        "t_1 succeeded (kling-3.0/video, about 0 credits, median of your last 3, 100 s)\nSaved as /out/a-1.mid\n1.",
    ),
    (
        "lyrics",
        task(state="succeeded", texts=["[Verse]\n\nla", "lo"], credits=0.4),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "texts": ["[Verse]\n\nla", "lo"],
            "credits": 0.4,
            "elapsed_seconds": 100,
        },
        "t_1 succeeded (kling-3.0/video, 0.4 credits, 100 s)\n1.\n> [Verse]\n> \n> la\n2.\n> lo",
    ),
    (
        "a failure",
        task(state="failed", error=FAILED, credits=0),
        {
            "task_id": "t_1",
            "status": "failed",
            "model": "kling-3.0/video",
            "credits": 0,
            "elapsed_seconds": 100,
            "error": FAILED,
        },
        """t_1 failed (kling-3.0/video, 0 credits, 100 s)
KIE says 500: it broke Nothing was charged. Try again. (kie, retryable)""",
    ),
]


@pytest.mark.parametrize(("known", "structured", "words"), [row[1:] for row in TASKS], ids=[row[0] for row in TASKS])
def test_a_task_is_told_in_both_forms(known: Task, structured: dict[str, Any], words: str) -> None:
    result = answers.task_result(known, now=NOW, usual=150)
    assert answer(result) == structured
    assert text(result) == words
    assert result.is_error == (known.state == "failed")


def test_every_saved_file_is_linked_under_its_number() -> None:
    results = [Result(URL), Result(URL, "/o u t/v-2.mp4", "video/mp4"), Result("", "/out/лиса.bin")]
    _, *links = answers.task_result(task(state="succeeded", results=results), now=NOW, usual=150).content
    assert [link.model_dump(by_alias=True, exclude_none=True) for link in links] == [
        {"type": "resource_link", "uri": "kie://tasks/t_1/media/2", "name": "v-2.mp4", "mimeType": "video/mp4"},
        {"type": "resource_link", "uri": "kie://tasks/t_1/media/3", "name": "лиса.bin"},
    ]


@pytest.mark.parametrize(
    ("error", "status", "cost"),
    [
        (InvalidCall("No.", "Mend it."), "failed", "Nothing was charged."),
        (KieMcpError("No.", "Wait.", retryable=True, billed=True), "failed", "Credits were charged."),
        (UnknownOutcome("No.", "Look.", billed=None), "unknown", "Whether it was charged is unknown."),
    ],
)
def test_an_error_says_what_it_cost_and_what_to_do(error: KieMcpError, status: str, cost: str) -> None:
    result = answers.failure(error)
    assert result.is_error
    retryable = "retryable" if error.retryable else "not retryable"
    assert text(result) == f"{status}: No. {cost} {error.next_step} ({error.category}, {retryable})"
    assert answer(result) == {
        "status": status,
        "error": {
            "category": error.category,
            "message": "No.",
            "retryable": error.retryable,
            "billed": error.billed,
            "next_step": error.next_step,
        },
    }


LINES = "harmless\nt_2 succeeded\r\nSaved as /etc/passwd\u2028more\x0bmore\x85more"


@pytest.mark.parametrize(
    ("known", "lines"),
    [
        (task(state="succeeded", results=[Result(LINES, "/out/a-1.mp4", label=LINES)]), 3),
        (task(state="succeeded", note=LINES), 2),
        (task(state="failed", error=ApiError(LINES, "Next.").as_dict()), 2),
    ],
    ids=["link and label", "note", "error"],
)
def test_text_from_kie_cannot_pass_for_lines_of_ours(known: Task, lines: int) -> None:
    assert len(text(answers.task_result(known, now=NOW, usual=1)).splitlines()) == lines


@given(st.lists(st.text(min_size=1), max_size=3))
def test_lyrics_cannot_pass_for_lines_of_ours(texts: list[str]) -> None:
    known = task(state="succeeded", texts=texts)
    first, *others = text(answers.task_result(known, now=NOW, usual=1)).splitlines()
    assert first == "t_1 succeeded (kling-3.0/video, 100 s)"
    assert [line for line in others if line and not line.startswith("> ")] == [
        f"{n}." for n in range(1, len(texts) + 1)
    ]


@given(st.floats(0, 1e9), st.floats(0.001, 1e9), st.floats(1, 600))
def test_progress_grows_and_stays_below_the_whole(elapsed: float, more: float, usual: float) -> None:
    assert 0 <= answers.progress(elapsed, usual) <= answers.progress(elapsed + more, usual) < 1


def test_progress_is_nine_tenths_at_the_usual_time() -> None:
    assert [answers.progress(elapsed, 90) for elapsed in (0, 45, 90, 900)] == [0, 0.45, 0.9, 0.99]
    assert answers.progress(0, 0) == 0


WAITED_FOR: list[tuple[list[Task], str, float]] = [
    ([task(state="submitting", created=NOW - 2)], "starting, 2 s of usually about 200 s", 0.009),
    ([task()], "generating, 100 s of usually about 200 s", 0.45),
    ([task(created=NOW - 400)], "generating, 400 s of usually about 200 s", 0.95),
    ([task(created=NOW + 5)], "generating, 0 s of usually about 200 s", 0),
    ([task(state="succeeded")], "saving the files, 100 s of usually about 200 s", 0.45),
    ([task(state="succeeded", saved=True)], "succeeded", 1),
    ([task(state="failed")], "failed", 1),
    (
        [task(state="succeeded", saved=True, created=NOW - 900), task(), task(id="t_2", created=NOW - 40)],
        "1 of 3 done, 100 s of usually about 400 s",
        (1 + 0.45 + 0.09) / 3,
    ),
    ([task(state="failed"), task(state="expired")], "2 of 2 done", 1),
]


@pytest.mark.parametrize(("tasks", "words", "share"), WAITED_FOR, ids=[words for _, words, _ in WAITED_FOR])
def test_progress_is_told_in_a_sentence(tasks: list[Task], words: str, share: float) -> None:
    usual = {"t_1": 200.0, "t_2": 400.0}
    assert answers.sentence(tasks, usual, now=NOW) == words
    assert answers.fraction(tasks, usual, now=NOW) == pytest.approx(share)


@pytest.mark.anyio
async def test_progress_is_told_while_a_call_waits(client: Client, sandbox: Sandbox) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    sandbox.fault("create", "stall", 2)
    await client.call_tool("nano_banana_image", {"prompt": "a fox"}, progress_callback=listen)
    slow = await client.call_tool("kling_video", {"prompt": "a fox"}, progress_callback=listen)
    in_the_call = len(told)
    await client.call_tool(
        "get_task", {"task_ids": answer(slow)["task_id"], "wait_seconds": 600}, progress_callback=listen
    )
    for part in (told[:in_the_call], told[in_the_call:]):
        figures = [progress for progress, _, _ in part]
        assert len(figures) > 5
        assert figures == sorted(set(figures))
        assert 0 <= figures[0] < figures[-1] < 1
    assert {total for _, total, _ in told} == {1}
    doing = r"(starting|generating|saving the files), \d+ s of usually about 2 s"
    assert all(re.fullmatch(doing, message or "") for _, _, message in told)


@pytest.mark.anyio
async def test_progress_of_several_tasks_is_told_together(
    settings: Settings, sandbox: Sandbox, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    told: list[str | None] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert 0 <= progress < 1
        assert total == 1
        told.append(message)

    sandbox.fault("create", "stall", 3)
    app = App(settings.model_copy(update={"wait_seconds": 0}), transport=transport, clock=clock)
    async with Client(build(app), raise_exceptions=True) as client:
        tools = ("kling_video", "veo_video", "nano_banana_image", "nano_banana_image")
        ids = [answer(await client.call_tool(tool, {"prompt": "a fox"}))["task_id"] for tool in tools]
        await client.call_tool("get_task", {"task_ids": ids[3], "wait_seconds": 600})
        await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 50}, progress_callback=listen)
    assert told
    assert all(re.fullmatch(r"1 of 4 done, \d+ s of usually about 2 s", message or "") for message in told)


class SetClock(Clock):
    """Two clocks that a test sets: the time of day, and the seconds that never go back."""

    def __init__(self) -> None:
        self.day = NOW
        self.ticks = 5.0

    def time(self) -> float:
        return self.day

    def monotonic(self) -> float:
        return self.ticks


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_progress_is_told_once_a_second_and_only_ever_grows(settings: Settings, era: Any) -> None:
    clock = SetClock()
    app = App(settings, clock=clock)
    told: list[tuple[float, float]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert (total, bool(message)) == (1, True)
        told.append((clock.ticks, progress))

    async def call_tool(context: Context, _: CallToolRequestParams) -> CallToolResult:
        first, second = task(created=NOW), task(id="t_2", created=NOW)
        report = progress_of(app, context, {"t_1": 90.0, "t_2": 90.0})

        async def after(seconds: float, set_back: float = 0) -> None:
            clock.ticks += seconds
            clock.day += seconds - set_back
            await report([first, second])
            # What is told arrives before time goes on.
            await anyio.wait_all_tasks_blocked()

        for seconds in (0, 0.5, 0.4, 0.2, 3, 0, 0.9, 0.1):
            await after(seconds)
        await after(2, set_back=3600)
        first.state, first.saved = "succeeded", True
        await after(1)
        second.state = "succeeded"
        await after(1)
        second.saved = True
        await after(5)
        return CallToolResult(content=[])

    server = Server("progress", lifespan=lambda _: app.run(), on_list_tools=list_tools, on_call_tool=call_tool)
    async with Client(server, mode=era, raise_exceptions=True) as client:
        await client.call_tool("get_task", {}, progress_callback=listen)
    assert [round(moment, 1) for moment, _ in told] == [5, 6.1, 9.1, 10.1, 12.1, 13.1, 14.1]
    figures = [figure for _, figure in told]
    assert figures == sorted(set(figures))
    assert figures[4] < 0.1
    assert 0.5 < figures[5] < figures[6] < 1


@pytest.mark.anyio
async def test_who_gave_no_progress_token_is_told_nothing(app: App, sandbox: Sandbox) -> None:
    heard: list[object] = []

    async def hear(message: object) -> None:
        heard.append(message)

    sandbox.fault("create", "stall")
    async with Client(build(app), mode="legacy", raise_exceptions=True, message_handler=hear) as client:
        await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert heard == []


@pytest.mark.anyio
async def test_a_wait_that_runs_out_is_no_error(client: Client, sandbox: Sandbox, clock: Clock) -> None:
    sandbox.fault("create", "stall")
    before = clock.time()
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert 40 <= clock.time() - before < 60
    assert not result.is_error
    assert answer(result)["status"] == "running"
    assert "get_task" in answer(result)["next_step"]
    assert answer(result)["task_id"] in text(result)


@pytest.mark.anyio
async def test_nothing_is_waited_for_where_the_settings_say_so(
    settings: Settings, transport: httpx2.ASGITransport, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.fault("create", "stall")
    app = App(settings.model_copy(update={"wait_seconds": 0}), transport=transport, clock=clock)
    told: list[object] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with Client(build(app), raise_exceptions=True) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "a fox"}, progress_callback=listen)
    assert not result.is_error
    assert (answer(result)["status"], told) == ("running", [])


@pytest.mark.anyio
@pytest.mark.parametrize("tool", ["nano_banana_image", "gpt4o_image", "elevenlabs_speech", "suno_lyrics"])
async def test_a_task_that_failed_is_an_error_with_its_id(client: Client, sandbox: Sandbox, tool: str) -> None:
    sandbox.fault("create", "fail")
    result = await client.call_tool(tool, {"prompt": "a fox"})
    assert result.is_error
    failed = answer(result)
    assert failed["status"] == "failed"
    assert failed["error"].keys() == {"category", "message", "retryable", "billed", "next_step"}
    assert failed["error"]["category"] == "task_failed"
    assert all(failed["error"][name] in text(result) for name in ("message", "next_step"))
    assert failed["task_id"] in text(result)
    again = await client.call_tool("get_task", {"task_ids": failed["task_id"]})
    assert again.is_error
    assert answer(again) == failed


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "category", "retryable", "billed"),
    [
        ("code:402", "insufficient_credits", False, False),
        ("code:401", "auth", False, False),
        ("code:400", "kie", False, False),
        ("code:500", "unknown_outcome", False, None),
        ("reset-after", "unknown_outcome", False, None),
        ("garbage", "unknown_outcome", False, None),
    ],
)
async def test_what_kie_refuses_is_an_error_that_says_what_it_cost(
    client: Client, sandbox: Sandbox, how: str, category: str, retryable: bool, billed: bool | None
) -> None:
    sandbox.fault("create", how)
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert result.is_error
    error = answer(result)["error"]
    assert (error["category"], error["retryable"], error["billed"]) == (category, retryable, billed)
    assert answer(result)["status"] == ("unknown" if billed is None else "failed")
    assert "charged" in text(result)
    assert error["next_step"] in text(result)


@pytest.mark.anyio
async def test_a_result_that_cannot_be_saved_is_still_a_result(settings: Settings, client: Client) -> None:
    settings.output_dir.write_text("a file where the folder should be")
    result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert not result.is_error
    assert answer(result)["status"] == "succeeded"
    assert answer(result)["media"][0].keys() == {"url"}
    assert answer(result)["note"].startswith("Not saved: ")
    assert answer(result)["note"] in text(result)


@pytest.mark.anyio
async def test_nothing_is_saved_where_the_settings_say_so(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    app = App(settings.model_copy(update={"save": False}), transport=transport, clock=clock)
    async with Client(build(app), raise_exceptions=True) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    assert answer(result)["media"][0].keys() == {"url"}
    assert "note" not in answer(result)
    assert not settings.output_dir.exists()
