"""The commands about tasks and their results, such as `tasks`, `library` and `run`."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Column, Table
from rich.text import Text

from kie_mcp.cli.calls import UNFINISHED, call_tool, make_console, read_answer, show_error, write_for_terminal
from kie_mcp.cli.ledger import read_ledger, read_task
from kie_mcp.cli.options import write_commands
from kie_mcp.cli.pictures import Pictures, show_results

FIELD_LABELS = {
    "estimated_credits": "estimate",
    "basis": "source of the estimate",
    "balance": "balance",
    "balance_after": "balance afterwards",
}
"""Labels of the fields that are printed after the main facts of a task or a quote."""
Words = Annotated[list[str] | None, typer.Argument(metavar="[WORDS]...", help="Words to look for.")]


def show_credits() -> None:
    """Show the balance."""
    answer = call_tool("get_credits")
    usd = f" (${answer['usd']:,.2f})" if "usd" in answer else ""
    typer.echo(f"{answer['credits']:,.10g} credits{usd}")


def list_tasks(words: Words = None, cursor: Annotated[str, typer.Option(help="The next page.")] = "") -> None:
    """List tasks, the newest first."""
    from kie_mcp.server.tools.tasks import LIST_TASKS, build_task_page

    wanted = {"words": _join(words), "cursor": cursor}
    answer = read_answer(read_ledger(lambda _, ledger: build_task_page(ledger, LIST_TASKS.check(wanted))))
    columns = (Column("task", no_wrap=True), "state", Column("when", no_wrap=True), "model", "prompt")
    rows = [
        (each["task_id"], each["status"], each.get("created", ""), each.get("model", ""), each.get("prompt", ""))
        for each in answer["tasks"]
    ]
    _print_table(columns, rows, "No tasks.")
    _print_next("tasks", words, answer)


def show_task(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for its end.")] = 0,
    pictures: Pictures = "auto",
) -> None:
    """Show the state of a task, and where its files are."""
    answer = read_task(task_id, wait)
    _print_task(answer)
    show_results([answer["task_id"]], pictures)


def search_library(
    words: Words = None,
    cursor: Annotated[str, typer.Option(help="The next page.")] = "",
    *,
    opens: Annotated[bool, typer.Option("--open", help="Show all of it on a page in your browser.")] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of this page; 0 takes a free one.")] = None,
    pictures: Pictures = "auto",
) -> None:
    """Search the results; with --open or --port, serve a web page that shows all of them."""
    if opens or port is not None:
        from kie_mcp.library_page.serving import serve_and_open

        serve_and_open(lambda message: typer.echo(message, err=True), port=port or 0, opens=opens)
        return
    from kie_mcp.server.app import App
    from kie_mcp.server.tools.library import LIBRARY, build_library_page

    wanted = {"words": _join(words), "cursor": cursor}
    answer = read_answer(
        read_ledger(lambda settings, ledger: build_library_page(ledger, App(settings).storage, LIBRARY.check(wanted)))
    )
    columns = (Column("task", no_wrap=True), Column("when", no_wrap=True), "prompt", Column("credits", justify="right"))
    rows = [
        (each["task_id"], each["when"], each.get("prompt", ""), f"{each['credits']:,.10g}" if "credits" in each else "")
        for each in answer["made"]
    ]
    _print_table(columns, rows, "Nothing was found.")
    show_results([each["task_id"] for each in answer["made"]], pictures)
    _print_next("library", words, answer)


def open_result(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    number: Annotated[int, typer.Argument(min=1, help="Which of its files.")] = 1,
) -> None:
    """Open a file of a task in the default program for its type."""
    answer = read_task(task_id)
    media = answer.get("media", [])
    if number > len(media):
        show_error(
            f"{task_id} has {len(media)} files, so there is no number {number}.",
            write_commands(f"See kie-mcp task {task_id}."),
        )
        raise typer.Exit(1)
    path = media[number - 1].get("path", "")
    place = path if Path(path).is_file() else media[number - 1].get("url")
    if not place:
        # The answer for a batch has no links of saved files. The answer for an item's own task has them; its id and the
        # file's number are in the file's name.
        items = "|".join(re.escape(each["task_id"]) for each in answer.get("items", ()) if "task_id" in each)
        own = re.search(rf"-({items})-(\d+)", Path(path).name) if items else None
        step = f"kie-mcp open {own[1]} {own[2]} opens its web link." if own else "It has no web link."
        show_error(f"{path or 'The file'} is not there any more.", write_commands(step))
        raise typer.Exit(1)
    typer.echo(place)
    if typer.launch(place):
        show_error("No program opened it.", "Open it by its path or web link.")
        raise typer.Exit(1)


def find_models(words: Words = None, page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1) -> None:
    """Find models, and show what they cost."""
    answer = call_tool("find_models", words=_join(words), page=page)
    columns = (Column("model", no_wrap=True), Column("credits"), Column("what it does", ratio=1))
    rows = [(each["model"], each.get("credits", ""), each.get("about", "")) for each in answer["models"]]
    if note := answer.get("note"):
        make_console().print(Text(write_for_terminal(note)))
    _print_table(columns, rows, "No model was found.")
    if page < answer.get("pages", 1):
        _print_more("models", *(words or ()), "--page", str(page + 1))


def run(
    model: Annotated[str, typer.Argument(help="The model's id, as `kie-mcp models` shows it.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Its arguments; a name again makes a list.")
    ] = None,
    quote: Annotated[bool, typer.Option("--quote", help="Only show what it would cost.")] = False,
    confirm: Annotated[str, typer.Option(help="The id that says that somebody has agreed to the cost.")] = "",
    anyway: Annotated[bool, typer.Option("--anyway", help="Run it although it fails often today.")] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Take any arguments of a model without a published schema.")
    ] = False,
    pictures: Pictures = "auto",
) -> None:
    """Run a model, and pay for it, within the spending caps; you have to confirm a high cost.

    For example: kie-mcp run nano-banana-2-1 prompt="A red fox in the snow" aspect_ratio=16:9
    """
    given = _read_arguments(arguments or ())
    # `variation` is an argument of run_model itself: it makes another result, where an equal call gets the same task.
    variation = given.pop("variation", None)
    answer = call_tool(
        "run_model",
        model=model,
        input=given,
        variation=variation,
        quote=quote or None,
        confirm=confirm or None,
        anyway=anyway or None,
        unchecked=unchecked or None,
    )
    _print_task(answer)
    if answer.get("status") == "failed":
        raise typer.Exit(1)
    if "task_id" in answer:
        show_results([answer["task_id"]], pictures)


def settle_task(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    outcome: Annotated[
        str, typer.Argument(help="KIE's id of it or its result's link, from KIE's log, or: not created.")
    ],
    pictures: Pictures = "auto",
) -> None:
    """Settle a task whose outcome is unknown, once you have looked at KIE's log.

    For example: kie-mcp settle t_1234567890ab "not created"
    """
    answer = call_tool("resolve_task", task_id=task_id, outcome=outcome)
    _print_task(answer)
    show_results([answer["task_id"]], pictures)


def _read_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair} is no NAME=VALUE")
        before = given.get(name)
        given[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return given


def _print_task(answer: Mapping[str, Any]) -> None:
    """Print a task with its files and texts, or a quote (the cost of a task that was not started)."""
    console = make_console()
    head = " ".join(str(answer[name]) for name in ("task_id", "status", "model") if name in answer)
    console.print(Text(f"{head}, {_write_credits(answer['credits'])}" if "credits" in answer else head))
    for number, each in enumerate(answer.get("media", []), 1):
        console.print(Text(f"{number}. {each.get('facts', '')}".rstrip()))
        # A path or URL is not wrapped, so that it can be copied.
        console.print(Text(f"   {each.get('path') or each.get('url', '')}"), soft_wrap=True)
    for number, text in enumerate(answer.get("texts", []), 1):
        console.print(Text(f"text {number}:"))
        console.print(Text(text), soft_wrap=True)
    for name, words in FIELD_LABELS.items():
        if name in answer:
            value = answer[name]
            console.print(Text(f"{words}: {value if isinstance(value, str) else _write_credits(value)}"))
    waits = f"kie-mcp task {answer.get('task_id')} --wait 60 waits for it."
    next_step = waits if answer.get("status") in UNFINISHED else answer.get("next_step")
    for sentence in filter(None, (answer.get("note"), next_step)):
        console.print(Text(write_for_terminal(sentence, answer.get("task_id", "ID"))))


def _write_credits(value: float | Sequence[float]) -> str:
    """Return credits as text: one number, or a range such as `4 to 30 credits` for the two numbers of an estimate."""
    parts = [f"{each:,.10g}" for each in (value if isinstance(value, Sequence) else [value])]
    return f"{' to '.join(dict.fromkeys(parts))} credits"


def _print_table(columns: Sequence[Column | str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    if not rows:
        typer.echo(nothing)
        return
    table = Table(*columns, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*map(Text, row))
    make_console().print(table)


def _print_next(command: str, words: Sequence[str] | None, answer: Mapping[str, Any]) -> None:
    if cursor := answer.get("next_cursor"):
        _print_more(command, *(words or ()), "--cursor", str(cursor))


def _print_more(*command: str) -> None:
    """Print the command that shows the next page."""
    typer.echo(write_commands(f"More: kie-mcp {shlex.join(command)}"))


def _join(words: Sequence[str] | None) -> str | None:
    return " ".join(words) if words else None
