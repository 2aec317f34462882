"""What the drivers of the Python hosts share; each runs in its host's own environment."""

import asyncio
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

SERVER = json.loads(os.environ["HOSTS_SERVER"])
"""The server's command, args and env, as in a client's configuration."""
MODEL = os.environ["HOSTS_MODEL"]
"""The address of the scripted model, without the version."""
os.environ.update(OPENAI_API_KEY="scripted", OPENAI_BASE_URL=f"{MODEL}/v1")


async def run_program(*command: str, **variables: str) -> None:
    """Run a program to its end, with few variables besides these; raise if it fails."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "NO_PROXY")}
    environment = {**kept, "TERM": "dumb", **variables}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr
    )
    try:
        code = await asyncio.wait_for(process.wait(), timeout=170)
    except TimeoutError:
        process.kill()
        raise
    if code:
        raise RuntimeError(f"{command[0]} ends with {code}")


async def play(ask: Callable[[str], Awaitable[Any]]) -> None:
    """Ask the agent for each wish on the command line; print one JSON line for each, with the error if it raises."""
    for wish in sys.argv[1:]:
        line = {"wish": wish}
        try:
            await asyncio.wait_for(ask(f"[wish:{wish}] Please do it."), timeout=180)
        except Exception as error:  # noqa: BLE001 (whatever ends an agent is what the document tells)
            line["error"] = "".join(traceback.format_exception_only(error)).strip()
            traceback.print_exc()
        print(json.dumps(line), flush=True)  # noqa: T201
