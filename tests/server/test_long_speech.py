"""Speech that is longer than KIE takes at once is one call for the agent: one price, one task, one file."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from support.answers import answer, assert_both_forms_agree, text
from support.clients import connect
from support.clock import JumpingClock
from support.programs import needs_ffmpeg

from kie_mcp.config import Settings
from kie_mcp.media.joining import join_sounds
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

TEXT = " ".join(f"This is sentence {number} of a story that takes its time, as stories do." for number in range(178))
"""About 12,000 characters."""


async def ask(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and return its answer, whose text says the same."""
    result = await client.call_tool(tool, arguments)
    assert_both_forms_agree(result)
    return answer(result)


async def test_a_quote_names_the_parts_and_the_price_of_all(client: Client, sandbox: Sandbox) -> None:
    result = await client.call_tool("elevenlabs_speech", {"prompt": TEXT, "quote": True})
    quoted = answer(result)
    assert "3 parts" in quoted["basis"]
    assert "3 parts" in text(result)
    assert quoted["estimated_credits"] == pytest.approx([len(TEXT) * 6 / 1000] * 2, abs=0.1)
    assert sandbox.accepted == []


@needs_ffmpeg
async def test_a_text_of_12_000_characters_is_one_call_and_one_file(client: Client, sandbox: Sandbox) -> None:
    made = await ask(client, "elevenlabs_speech", prompt=TEXT)
    assert " ".join(each.body["input"]["text"] for each in sandbox.accepted) == TEXT
    assert len(sandbox.accepted) == 3
    (media,) = made["media"]
    assert (made["status"], Path(media["path"]).suffix) == ("succeeded", ".mp3")
    assert made["credits"] == pytest.approx(1000 - sandbox.balance)
    probe = ["ffprobe", "-v", "error", "-of", "csv=p=0", "-show_entries", "format=duration", media["path"]]
    seconds = float(subprocess.run(probe, check=True, capture_output=True).stdout)  # noqa: ASYNC221
    # The sandbox makes 3 s of each part.
    assert seconds == pytest.approx(9, abs=0.3)
    assert media["facts"].startswith(f"{round(seconds, 1):g} s MP3")
    assert (await ask(client, "get_task", task_ids=[made["task_id"]]))["media"] == made["media"]
    shown = await client.call_tool("view_media", {"task_id": made["task_id"]})
    assert not shown.is_error


async def test_lists_and_reports_have_the_parent_task_once(client: Client, sandbox: Sandbox) -> None:
    made = await ask(client, "elevenlabs_speech", prompt=TEXT)
    listed = answer(await client.call_tool("list_tasks", {}))
    assert [each["task_id"] for each in listed["tasks"]] == [made["task_id"]]
    library = answer(await client.call_tool("library", {"words": "story"}))
    assert [each["task_id"] for each in library["made"]] == [made["task_id"]]
    report = answer(await client.call_tool("spend_report", {"by": "model"}))
    assert (report["all"]["tasks"], report["all"]["succeeded"]) == (1, 1)
    assert report["all"]["charged"] == pytest.approx(1000 - sandbox.balance)


async def test_while_it_runs_get_task_says_how_many_parts_are_made(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "stall")
    asked = await client.call_tool("elevenlabs_speech", {"prompt": TEXT})
    running = answer(asked)
    assert running["status"] == "running"
    assert "of 3 parts are made." in running["note"]
    assert "of 3 parts are made." in text(asked)
    assert "media" not in running


async def test_a_part_that_fails_is_named_with_what_was_charged_and_what_to_do(
    client: Client, sandbox: Sandbox
) -> None:
    sandbox.inject_fault("create", "fail")
    result = await client.call_tool("elevenlabs_speech", {"prompt": TEXT})
    error = answer(result)["error"]
    assert result.is_error
    assert error["message"].startswith("Part 1 of 3, task t_")
    assert "2 of 3 parts are made and kept" in error["message"]
    assert error["billed"] is True
    assert "the same call makes only the missing parts" in error["next_step"]
    again = await ask(client, "elevenlabs_speech", prompt=TEXT)
    assert again["status"] == "succeeded"
    assert len(sandbox.accepted) == 4
    report = answer(await client.call_tool("spend_report", {}))
    figures = report["all"]
    assert figures["charged"] + figures["failed_charged"] == pytest.approx(1000 - sandbox.balance)


async def test_the_user_is_asked_once_about_the_price_of_all_parts(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(settings, sandbox.app, clock, confirm_above=50) as client:
        result = await client.call_tool("elevenlabs_speech", {"prompt": TEXT})
        assert "3 parts" in text(result)
        assert sandbox.accepted == []
        confirm = answer(result)["error"]["next_step"].split("'")[1]
        made = await ask(client, "elevenlabs_speech", prompt=TEXT, confirm=confirm)
    assert made["status"] == "succeeded"


async def test_run_model_takes_a_long_text_under_kies_name(client: Client, sandbox: Sandbox) -> None:
    fields = {"text": TEXT, "voice": "Rachel"}
    made = await ask(client, "run_model", model="elevenlabs/text-to-speech-multilingual-v2", input=fields)
    assert made["status"] == "succeeded"
    assert len(sandbox.accepted) == 3
    assert len(made["media"]) == 1


async def test_a_long_dialogue_is_one_file_too(client: Client, sandbox: Sandbox) -> None:
    lines = [{"prompt": "We talk about the heron. " * 40, "voice": voice} for voice in ("Adam", "Sarah")] * 6
    made = await ask(client, "elevenlabs_dialogue", lines=lines)
    assert (made["status"], len(made["media"])) == ("succeeded", 1)
    said = [line["text"] for each in sandbox.accepted for line in each.body["input"]["dialogue"]]
    assert said == [line["prompt"] for line in lines] or said == [line["prompt"].strip() for line in lines]
    assert len(sandbox.accepted) == 3


async def test_the_file_is_that_of_the_parts_in_the_order_of_the_text(
    client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    made = await ask(client, "elevenlabs_speech", prompt=TEXT)
    parts = []
    for number, task in enumerate(sandbox.accepted):
        parts.append(tmp_path / f"{number}.mp3")
        parts[-1].write_bytes(sandbox._files.render_result(task, "1.mp3").read_bytes())
    with (tmp_path / "joined.mp3").open("w+b") as joined:
        await join_sounds(parts, joined)
        joined.seek(0)
        assert joined.read() == Path(made["media"][0]["path"]).read_bytes()  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("model", "spoken"),
    [
        ("elevenlabs/text-to-speech-turbo-2-5", {"text": TEXT}),
        ("elevenlabs/text-to-dialogue-v3", {"dialogue": [{"text": TEXT, "voice": "Adam"}]}),
        ("elevenlabs/text-to-dialogue-v3", {"dialogue": [{"text": "Yes. " * 40, "voice": "Adam"}]}),
        ("google/gemini-3-1-flash-tts", {"prompt": TEXT}),
        ("google/gemini-3-1-flash-tts", {"dialogue": [{"speaker": 1, "prompt": "Yes. " * 40}]}),
        ("google/gemini-3-8-flash-tts", {"dialogue": [{"speaker": 1, "prompt": TEXT}]}),
    ],
)
async def test_the_sandbox_charges_what_was_quoted(
    client: Client, sandbox: Sandbox, model: str, spoken: dict[str, Any]
) -> None:
    call = {"model": model, "input": spoken}
    low, high = answer(await client.call_tool("run_model", call | {"quote": True}))["estimated_credits"]
    made = await ask(client, "run_model", **call)
    charged = 1000 - sandbox.balance
    assert low - 0.05 <= charged <= high + 0.05
    assert charged > 0
    assert made["credits"] == pytest.approx(charged)
