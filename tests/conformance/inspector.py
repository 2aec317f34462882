"""The MCP Inspector's web page, with the gallery in it."""

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kie_mcp.demo.chat import browser

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "browser" / "inspector.mjs"
PICTURE = ROOT / "test-output" / "gallery" / "inspector.png"
CHROMIUM = browser()
SECONDS = 120


def show(modules: Path, server: str) -> str:
    """Have the Inspector call a tool of a server and show what came of it.

    Args:
        modules: Where npm put the Inspector and what drives a browser.
        server: The address.

    Returns:
        What is wrong; nothing when a picture was seen.
    """
    if not CHROMIUM:
        return ""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    node, token = str(modules / ".bin" / "node"), secrets.token_hex(16)
    with opened(node, modules, token) as site:
        command = [node, str(SCRIPT), site, token, server, str(PICTURE), CHROMIUM, str(modules)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    return ran.stderr if ran.returncode else ""


@contextmanager
def opened(node: str, modules: Path, token: str) -> Iterator[str]:
    """The Inspector's address, while it runs."""
    port = free_port()
    settings = {
        "HOST": "127.0.0.1",
        "CLIENT_PORT": str(port),
        "MCP_SANDBOX_PORT": str(free_port()),
        "MCP_INSPECTOR_API_TOKEN": token,
        "MCP_AUTO_OPEN_ENABLED": "false",
    }
    command = [node, str(modules / ".bin" / "mcp-inspector"), "--web"]
    with subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as inspector:
        try:
            assert inspector.stdout
            site = f"http://127.0.0.1:{port}"
            # It says where it is once it listens there.
            assert any(site in line for line in inspector.stdout), "The MCP Inspector did not start."
            yield site
        finally:
            inspector.terminate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
