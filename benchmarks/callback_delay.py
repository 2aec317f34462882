"""Measure the time from the end of a task to the status read that KIE's callback causes, in real time over HTTP."""

import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx2
import uvicorn

from kie_mcp.catalog.registry import MODELS
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.http import build_http_app
from kie_mcp.server.listener import configure
from kie_mcp.tasks.order import Order

TASKS = 30
TASK_SECONDS = 2.5
PAUSE_SECONDS = 0.55
"""Seconds between two tasks; with this pause, no create request and no status read waits for KIE's rate limits."""


async def measure_delays() -> list[float]:
    """Run a few tasks, and return the delay of each, in seconds."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings(
            sandbox=True,
            public_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            data_dir=Path(folder),
            save=False,
            repeat_window=0,
            confirm_hourly=0,
        )
        sandbox = Sandbox(seconds=TASK_SECONDS, credits=1e6)
        app = App(settings, local_files=False, transport=httpx2.ASGITransport(sandbox.app))
        server = uvicorn.Server(configure(build_http_app(app, host="127.0.0.1")))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            group.start_soon(sandbox.callbacks.run, anyio.sleep)
            async with httpx2.AsyncClient() as http:
                # This request is answered when the server has started.
                await http.get(settings.public_url)
            delays = await _make_tasks(app, sandbox)
            server.should_exit = True
            await anyio.sleep(1)
            group.cancel_scope.cancel()
    return delays


async def _make_tasks(app: App, sandbox: Sandbox) -> list[float]:
    runner = await app.runner()
    model = MODELS["google/nano-banana"]
    tasks = []
    for number in range(TASKS):
        call = model.model_validate({"prompt": f"heron {number}"})
        tasks.append(await runner.submit(Order("nano_banana_image", call)))
        await anyio.sleep(PAUSE_SECONDS)
    ended = await runner.wait(tasks, 60)
    ends = {task.id: task.ends_at for task in sandbox.accepted}
    return [(task.finished or 0) - ends[task.kie_id or ""] for task in ended]
