"""Call kie-mcp's tools from a command; the command is the MCP client of a server in the same process."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from kie_mcp.cli.options import is_terminal, write_commands

if TYPE_CHECKING:
    from mcp.client import ClientRequestContext
    from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

UNFINISHED = frozenset({"prepared", "submitting", "running"})
"""States of a task that has not ended."""
WAIT_SECONDS = 50
"""Maximum seconds that one call of `get_task` waits for a task."""
COMMAND_WORDS = {
    r"\b(find|describe)_models?\b": "kie-mcp models",
    r"\bget_credits\b": "kie-mcp credits",
    r"\bget_task\b": "kie-mcp task",
    r"\blist_tasks\b": "kie-mcp tasks",
    r"\bspend_report\b": "kie-mcp spend",
    r"\bview_media\b": "kie-mcp open",
    r"\bresolve_task\b": "kie-mcp settle",
    r"\b(find_voices|edit_media)\b": r"\1, in an MCP client,",
    r"\bvariation: ": "variation=",
    r"\brepeat the call with anyway: true\b": "add --anyway",
    r"\bSet unchecked to true\b": "Add --unchecked",
    r"\bPut it beside input: \{model, input, (\w+)\}": r"Write it as --\1",
    r"\bconfirm: '(\w+)'": r"--confirm \1",
}
"""What a person types in a terminal for words in errors, notes and next steps, which are written for agents."""
WIDTH = 80
"""Maximum width of tables and errors, in characters."""


def make_console() -> Console:
    """Return a console for stdout that is at most `WIDTH` characters wide."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    return console


def call_tool(tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its answer; show a progress bar, and ask the user to confirm the cost if needed.

    If the tool starts a task, wait until the task has ended. If the user stops this process earlier, the task continues
    at KIE, and the next kie-mcp process polls the task. Arguments that are None are left out. After an error, exit with
    status 1.
    """
    import anyio

    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    given = {name: value for name, value in arguments.items() if value is not None}
    return read_answer(anyio.run(_call, tool, given))


def read_answer(result: "CallToolResult") -> dict[str, Any]:
    """Return the answer in a tool result; if the result is an error, print the error and exit with status 1."""
    answer: dict[str, Any] = result.structured_content or {}
    if result.is_error:
        raise fail(answer.get("error", {}))
    return answer


def fail(error: Mapping[str, Any]) -> typer.Exit:
    """Print a call's error, what was charged and what to do next; return the exception that exits with status 1."""
    # `billed` is None if it is unknown whether the call cost anything.
    costs = {False: "Nothing was charged.", True: "It was charged.", None: "It may have been charged."}
    lines = (error.get("message") or "The call failed.", f"{costs[error.get('billed')]} {error.get('next_step', '')}")
    show_error(*map(write_for_terminal, lines))
    return typer.Exit(1)


def write_for_terminal(sentence: str, task_id: str = "ID") -> str:
    """Return an agent's sentence for a person: with `uvx kie-mcp open ID` in place of `view_media with this id`."""
    for word, typed in COMMAND_WORDS.items():
        sentence = re.sub(word, typed, sentence)
    return write_commands(sentence.replace("with this id", task_id))


def show_error(*lines: str) -> None:
    """Print an error and its next step to stderr, wrapped between words."""
    console = Console(stderr=True, highlight=False)
    console.width = min(console.width, WIDTH)
    for line, style in zip(lines, ("red", ""), strict=False):
        console.print(Text(line.strip(), style))


async def _call(tool: str, arguments: dict[str, Any]) -> "CallToolResult":
    from mcp import Client
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from kie_mcp.server.app import App
    from kie_mcp.server.build import build_server
    from kie_mcp.server.selection import Selection

    bar = Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True))
    # The progress bar is shown only in a terminal, because it consists of control sequences for terminals.
    bar.disable = not bar.console.is_terminal
    server = build_server(App(selection=Selection("all")))
    declined = False
    with bar:
        step = bar.add_task("working", total=1)

        async def show(progress: float, total: float | None, message: str | None) -> None:
            bar.update(step, completed=progress, total=total, description=message or "working")

        async def ask(context: "ClientRequestContext", params: "ElicitRequestParams") -> "ElicitResult":
            nonlocal declined
            del context
            bar.stop()
            answer = await _ask(params.message)
            declined = answer.action == "decline"
            bar.start()
            return answer

        async with Client(server, elicitation_callback=ask if is_terminal() else None) as client:
            first = result = await client.call_tool(tool, arguments, progress_callback=show)
            while tool == "run_model" and (task := _find_unfinished(result)):
                again = {"task_ids": [task], "wait_seconds": WAIT_SECONDS}
                result = await client.call_tool("get_task", again, progress_callback=show)
    if declined:
        # The server's error is for an agent, and takes an answer within a second for that of a program.
        show_error("Nothing was made, and nothing was charged.")
        raise typer.Exit(1)
    return _keep_note(first, result)


def _keep_note(first: "CallToolResult", last: "CallToolResult") -> "CallToolResult":
    """Return the last result, whose note begins with the note of the first one, such as that the call is repeated."""
    note, answer = (first.structured_content or {}).get("note", ""), last.structured_content
    if answer is not None and note not in answer.get("note", ""):
        answer["note"] = f"{note} {answer.get('note', '')}".rstrip()
    return last


def _find_unfinished(result: "CallToolResult") -> str | None:
    """Return the id of the task in a tool result if the task runs or its files are being saved; None otherwise."""
    answer: dict[str, Any] = result.structured_content or {}
    return answer.get("task_id") if "get_task" in answer.get("next_step", "") else None


async def _ask(question: str) -> "ElicitResult":
    """Ask the user whether to spend the credits; an empty answer means no."""
    import anyio
    from mcp_types import ElicitResult

    agreed = await anyio.to_thread.run_sync(lambda: typer.confirm(question, default=False, err=True))
    return ElicitResult(action="accept", content={"spend": True}) if agreed else ElicitResult(action="decline")
