"""Check in a browser that the MCP Inspector shows the gallery."""

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kie_mcp.demo.chat_page import find_browser

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "browser" / "inspector.mjs"
PICTURE = ROOT / "test-output" / "gallery" / "inspector.png"
CHROMIUM = find_browser()
SECONDS = 120


def show(modules: Path, server: str) -> str:
    """Let the Inspector call a tool of a server and show its result.

    Args:
        modules: The node_modules with the Inspector and playwright-core.
        server: The URL of the server's MCP endpoint.

    Returns:
        What went wrong; empty when the Inspector showed the picture, or where there is no browser.
    """
    if not CHROMIUM:
        return ""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    node, token = str(modules / ".bin" / "node"), secrets.token_hex(16)
    with run_inspector(node, modules, token) as site:
        command = [node, str(SCRIPT), site, token, server, str(PICTURE), CHROMIUM, str(modules)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    return ran.stderr if ran.returncode else ""


@contextmanager
def run_inspector(node: str, modules: Path, token: str) -> Iterator[str]:
    """Run the Inspector and give its address."""
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
            # It prints its address once it listens.
            assert any(site in line for line in inspector.stdout), "The MCP Inspector did not start."
            yield site
        finally:
            inspector.terminate()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
