"""Work out how the configuration of a client has to change."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from kie_mcp.install.clients import Client
from kie_mcp.install.config_file import ConfigFile
from kie_mcp.install.document import FORMATS, Document
from kie_mcp.install.entry import NAME, Entry, Server
from kie_mcp.install.masking import find_secrets, hide

REPLACED = ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX", "KIE_MCP_KEYRING")
"""Variables of an earlier entry that a new one replaces: all that say where the key comes from."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a client's file."""

    client: Client
    file: ConfigFile
    after: str
    """What the file has to hold."""
    secrets: tuple[str, ...]
    """Texts that the diff may not show."""
    before: Server | None = None
    """How the client started kie-mcp until now; None if it did not."""

    @property
    def is_needed(self) -> bool:
        """Whether anything changes."""
        return self.after != self.file.text

    @property
    def diff(self) -> list[str]:
        """The lines that change, and one around them, without secrets."""
        name = self.file.path.name
        before, after = (hide(text, self.secrets).splitlines() for text in (self.file.text, self.after))
        return list(unified_diff(before, after, f"{name} (now)", name, n=1, lineterm=""))


def plan_install(client: Client, folders: Mapping[str, Path], server: Server) -> Change:
    """Return the change that puts kie-mcp into a client's file.

    If it is there already, its name and what the user has set besides stay.

    Raises:
        ConfigurationError: When the file is damaged, or of a form that kie-mcp does not know.
    """
    document = Document.read(client, folders)
    shape, found = client.shape, document.found
    old: Entry = {}
    place: str | int = document.free_name
    if found:
        place, old = found.place, found.entry
        kept = {name: value for name, value in found.server.env.items() if name not in REPLACED}
        server = Server(server.command, {**kept, **server.env})
    elif client.listed:
        place = len(document.data.get(client.servers) or [])
    new = shape.write(server, document.free_name)
    # The user may have changed what this client wants besides, such as `enabled`.
    after = document.put(place, old, {**new, **{name: old[name] for name in shape.more if name in old}})
    secrets = find_secrets(document.data, document.format.parse(after))
    return Change(client, document.file, after, secrets, found.server if found else None)


def plan_removal(client: Client, folders: Mapping[str, Path]) -> Change:
    """Return the change that takes kie-mcp out of a client's file.

    Raises:
        ConfigurationError: When the file is damaged, or of a form that kie-mcp does not know.
    """
    document = Document.read(client, folders)
    after = document.remove(document.found.place) if document.found else document.file.text
    return Change(client, document.file, after, find_secrets(document.data))


def find_server(client: Client, folders: Mapping[str, Path]) -> Server | None:
    """Return how a client starts kie-mcp; None if it does not.

    Raises:
        ConfigurationError: When the file is damaged, or of a form that kie-mcp does not know.
    """
    found = Document.read(client, folders).found
    return found.server if found else None


def make_snippet(client: Client, server: Server) -> str:
    """Return what a user can put into a client's file, if there is none yet."""
    path = (client.servers, 0 if client.listed else NAME)
    return str(FORMATS[client.format].put(client.fresh, path, client.shape.write(server)))
