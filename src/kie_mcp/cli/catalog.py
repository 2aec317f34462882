"""`kie-mcp catalog`: compare the built-in models with what KIE publishes, and store a snapshot of KIE's models."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from kie_mcp.cli.options import print_to_stderr

if TYPE_CHECKING:
    from rich.status import Status

    from kie_mcp.kie.discovery import Discovery
    from kie_mcp.kie.drift import ModelDrift

T = TypeVar("T")


def check(
    model: Annotated[list[str] | None, typer.Option(help="KIE's id of a model to compare; all when left out.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Compare with the snapshot, without asking KIE.")] = False,
) -> None:
    """Show how the built-in models differ from what KIE publishes today; this takes about a second per model.

    When KIE does not answer, the models are compared with the stored snapshot. The exit status is 1 when any model
    differs, and 2 when KIE refuses the request.
    """
    compared = _run_catalog_command(_compare_with_kie, model or (), offline)
    differing = [each for each in compared if each.changes]
    for each in differing:
        for change in each.changes:
            typer.echo(f"{each.id}: {change}")
    typer.echo(f"Models compared: {len(compared)}; different: {len(differing)}.")
    raise typer.Exit(1 if differing else 0)


def sync(
    to: Annotated[
        Path | None, typer.Option(help="File to write; when left out, the server's own in the data folder.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="KIE's id of a model to read; all when left out.")] = None,
) -> None:
    """Store a snapshot of KIE's models, schemas and prices, for use when KIE does not answer; about a second per model.

    The exit status is 1 when a schema cannot be read, and 2 when KIE refuses the request or does not answer.
    """
    file, models, unread = _run_catalog_command(_take_snapshot, to, model or ())
    typer.echo(f"{file}: {models} models.")
    for id_ in unread:
        typer.echo(f"{id_}: its schema cannot be read")
    raise typer.Exit(1 if unread else 0)


def _run_catalog_command(work: "Callable[..., Coroutine[Any, Any, T]]", *arguments: Any) -> "T":
    """Run a function that sends requests to KIE; if KIE refuses or does not answer, exit with status 2."""
    import anyio

    from kie_mcp.errors import ApiError

    # Warnings are not shown: each failed attempt that is retried logs a warning, which would only alarm the user.
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    try:
        return anyio.run(work, *arguments)
    except ApiError as error:
        print_to_stderr(f"kie-mcp: {error}\n{error.next_step}")
        raise typer.Exit(2) from None


async def _compare_with_kie(only: "Sequence[str]", offline: bool) -> "list[ModelDrift]":
    from kie_mcp import config
    from kie_mcp.errors import ApiError
    from kie_mcp.kie.drift import compare_models
    from kie_mcp.kie.snapshot import load_snapshot

    snapshot = load_snapshot(config.load().state_dir)
    found: list[ModelDrift] = []
    if not offline:
        try:
            async with _open_discovery() as (discovery, status):
                async for each in compare_models(discovery, only):
                    found.append(each)
                    status.update(f"Models compared: {len(found)}")
        except ApiError as error:
            if not error.retryable:
                raise
            print_to_stderr(f"kie-mcp: {error}\nIts list of {snapshot.as_of} is compared instead.")
        else:
            return found
    return [each async for each in compare_models(snapshot, only)]


async def _take_snapshot(to: Path | None, only: "Sequence[str]") -> tuple[Path, int, list[str]]:
    from kie_mcp import config
    from kie_mcp.kie.discovery import take_snapshot
    from kie_mcp.kie.snapshot import SNAPSHOT_FILE, load_snapshot

    folder = config.load().state_dir
    async with _open_discovery(fresh=True) as (discovery, _):
        today = datetime.now(UTC).date().isoformat()
        snapshot, unread = await take_snapshot(discovery, load_snapshot(folder), today, only)
    file = to or folder / SNAPSHOT_FILE
    snapshot.write(file)
    return file, len(snapshot.models), unread


@asynccontextmanager
async def _open_discovery(*, fresh: bool = False) -> "AsyncIterator[tuple[Discovery, Status]]":
    """Yield an object that reads KIE's models, and a status line in the terminal that the caller can update.

    Args:
        fresh: True to ignore cached answers.
    """
    from kie_mcp import config
    from kie_mcp.kie.client import KieClient
    from kie_mcp.kie.discovery import CACHE_SECONDS, Discovery

    settings, seconds = config.load(), 0 if fresh else CACHE_SECONDS
    transport = None
    if settings.sandbox:
        import httpx2

        from kie_mcp.sandbox.app import Sandbox

        transport = httpx2.ASGITransport(app=Sandbox(legacy=settings.sandbox_legacy).app)
    # The library Rich shows the status line only when stderr is a terminal.
    with Console(stderr=True).status("Asking KIE") as status:
        async with KieClient(settings.key, base_url=settings.base_url, transport=transport) as client:
            yield Discovery(client, settings.live_dir, cache_seconds=seconds), status
