"""The MCP clients in which kie-mcp can be installed: for each, its configuration files and the form of an entry."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kie_mcp.install.entry import Shape

System = Literal["linux", "darwin", "win32"]
FormatName = Literal["json", "toml", "yaml"]


PLAIN = Shape()
STDIO = Shape(more={"type": "stdio"})


@dataclass(frozen=True, slots=True)
class Client:
    """A program that starts MCP servers."""

    name: str
    """Name of the client on the command line."""
    title: str
    files: tuple[str, ...]
    """Possible paths of the client's configuration file; `{…}` stands for a folder from `find_folders`.

    The first folder that exists is used, and in this folder the first file that exists. If no folder or no file exists,
    the first one is used.
    """
    servers: str
    """Name of the field in the configuration file that contains the servers."""
    shape: Shape = PLAIN
    format: FormatName = "json"
    listed: bool = False
    """Whether the servers are a list of entries with a `name`; otherwise they are an object with names as keys."""
    programs: tuple[str, ...] = ()
    """Names of programs; if one of them is on PATH, the client is installed."""
    fresh: str = ""
    """Text with which a configuration file begins if kie-mcp creates the file for this client."""
    after: str = ""
    """A sentence that says what the user has to do, so that the client reads the changed file."""

    def find_file(self, folders: Mapping[str, Path]) -> Path:
        """Return the path of the client's configuration file; the file may not exist yet."""
        files = [Path(os.path.normpath(file.format_map(folders))) for file in self.files]
        folder = next((file.parent for file in files if file.parent.is_dir()), files[0].parent)
        inside = [file for file in files if file.parent == folder]
        return next((file for file in inside if os.path.lexists(file)), inside[0])

    def is_there(self, folders: Mapping[str, Path]) -> bool:
        """Return whether the client is installed: one of its files, folders or programs exists on this machine."""
        file = self.find_file(folders)
        has_folder = file.parent.is_dir() and file.parent != folders["home"]
        return os.path.lexists(file) or has_folder or any(map(shutil.which, self.programs))


def find_folders(system: str = sys.platform, env: Mapping[str, str] = os.environ) -> dict[str, Path]:
    """Return the folders of clients' configuration files; the keys are the names that `Client.files` uses.

    Args:
        system: The operating system, as `sys.platform` names it.
        env: The environment variables.
    """
    home = Path(env.get("USERPROFILE" if system == "win32" else "HOME") or Path.home())
    xdg = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    roaming = Path(env.get("APPDATA") or home / "AppData" / "Roaming")
    local = Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local")
    # The folder in which programs made with Electron, such as VS Code, keep their configuration.
    electron = {"win32": roaming, "darwin": home / "Library" / "Application Support"}.get(system, xdg)
    packaged = local / "Packages" / "Claude_pzs8sxrjxfjjc" / "LocalCache" / "Roaming"
    return {
        "home": home,
        "xdg": xdg,
        "electron": electron,
        # Claude Desktop from claude.ai for Windows is an MSIX package. Windows gives such a package its own folder
        # instead of %APPDATA%: github.com/anthropics/claude-code/issues/25579.
        "claude_desktop": packaged / "Claude" if system == "win32" and packaged.is_dir() else electron / "Claude",
        "claude_code": Path(env.get("CLAUDE_CONFIG_DIR") or home),
        "codex": Path(env.get("CODEX_HOME") or home / ".codex"),
        "cline": Path(env.get("CLINE_DIR") or home / ".cline"),
        # On macOS, Zed uses ~/.config and ignores XDG_CONFIG_HOME: see zed-industries/zed, crates/paths/src/paths.rs.
        "zed": {"win32": roaming / "Zed", "darwin": home / ".config" / "zed"}.get(system, xdg / "zed"),
        # See goose-docs, guides/config-files: ~/.config/goose, and on Windows %APPDATA%\Block\goose\config.
        "goose": roaming / "Block" / "goose" / "config" if system == "win32" else xdg / "goose",
    }


CLIENTS = (
    # See modelcontextprotocol.io/docs/develop/connect-local-servers
    Client(
        "claude-desktop",
        "Claude Desktop",
        ("{claude_desktop}/claude_desktop_config.json",),
        "mcpServers",
        after="Quit Claude Desktop and open it again.",
    ),
    # This entry equals the one that `claude mcp add -s user` of version 2.1.332 writes.
    Client(
        "claude-code",
        "Claude Code",
        ("{claude_code}/.claude.json",),
        "mcpServers",
        STDIO,
        programs=("claude",),
        after="Start Claude Code again; /mcp shows it.",
    ),
    # See cursor.com/docs/context/mcp
    Client(
        "cursor",
        "Cursor",
        ("{home}/.cursor/mcp.json",),
        "mcpServers",
        programs=("cursor", "cursor-agent"),
        after="Cursor asks whether to turn it on, or see Settings, MCP.",
    ),
    # See code.visualstudio.com/docs/copilot/reference/mcp-configuration
    Client(
        "vscode",
        "VS Code",
        ("{electron}/Code/User/mcp.json", "{electron}/Code - Insiders/User/mcp.json"),
        "servers",
        STDIO,
        programs=("code", "code-insiders"),
        after="Start it in VS Code by the command MCP: List Servers.",
    ),
    # See docs.windsurf.com/windsurf/cascade/mcp
    Client(
        "windsurf",
        "Windsurf",
        ("{home}/.codeium/windsurf/mcp_config.json",),
        "mcpServers",
        programs=("windsurf",),
        after="Press Refresh in the MCP settings of Windsurf.",
    ),
    # See openai/codex, docs/config.md. This entry equals the one that `codex mcp add` of version 0.171.0 writes.
    Client(
        "codex",
        "Codex",
        ("{codex}/config.toml",),
        "mcp_servers",
        format="toml",
        programs=("codex",),
        after="Start Codex again; /mcp shows it.",
    ),
    # See google-gemini/gemini-cli, docs/tools/mcp-server.md
    Client(
        "gemini-cli",
        "Gemini CLI",
        ("{home}/.gemini/settings.json",),
        "mcpServers",
        programs=("gemini",),
        after="Start Gemini CLI again, in a folder that you trust; /mcp shows it.",
    ),
    # See opencode.ai/docs/mcp-servers and opencode.ai/docs/config. OpenCode 1.18.33 reads all three files.
    Client(
        "opencode",
        "OpenCode",
        ("{xdg}/opencode/opencode.json", "{xdg}/opencode/opencode.jsonc", "{xdg}/opencode/config.json"),
        "mcp",
        Shape(args=None, env="environment", more={"type": "local", "enabled": True}),
        programs=("opencode",),
        after="Start OpenCode again.",
    ),
    # See zed-industries/zed, docs/src/ai/mcp.md
    Client(
        "zed",
        "Zed",
        ("{zed}/settings.json",),
        "context_servers",
        Shape(more={"source": "custom"}),
        programs=("zed", "zeditor"),
        after="The dot beside it in the settings of Zed's agent panel turns green.",
    ),
    # See goose-docs, guides/config-files, and Goose's source file crates/goose/src/agents/extension.rs: an extension on
    # stdio has the fields `cmd` and `envs`.
    Client(
        "goose",
        "Goose",
        ("{goose}/config.yaml",),
        "extensions",
        Shape("cmd", env="envs", more={"type": "stdio", "name": "kie", "enabled": True, "timeout": 300}),
        "yaml",
        programs=("goose",),
        after="Start a new session of Goose.",
    ),
    # See docs.cline.bot/getting-started/config. Older versions of the extension keep the file in a folder of VS Code.
    Client(
        "cline",
        "Cline",
        (
            "{cline}/data/settings/cline_mcp_settings.json",
            "{electron}/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        ),
        "mcpServers",
        programs=("cline",),
        after="Cline sees it at once.",
    ),
    # See docs.continue.dev/reference: the field `mcpServers` of ~/.continue/config.yaml is a list.
    Client(
        "continue",
        "Continue",
        ("{home}/.continue/config.yaml",),
        "mcpServers",
        Shape(more={"name": "kie"}),
        "yaml",
        listed=True,
        # See continuedev/continue, packages/config-yaml/src/schemas/index.ts: `name` and `version` are required.
        fresh="name: Local Config\nversion: 1.0.0\nschema: v1\n",
        programs=("cn",),
        after="Continue sees it at once; its tools work in agent mode.",
    ),
    # See lmstudio-ai/docs, 0_app/2_mcp, and for the older folder
    # github.com/lmstudio-ai/lmstudio-bug-tracker/issues/1371.
    Client(
        "lm-studio",
        "LM Studio",
        ("{home}/.lmstudio/mcp.json", "{home}/.cache/lm-studio/mcp.json"),
        "mcpServers",
        after="LM Studio sees it at once; turn it on under Program.",
    ),
)
BY_NAME = {client.name: client for client in CLIENTS}
