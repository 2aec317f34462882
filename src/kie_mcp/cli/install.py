"""`kie-mcp install`: put kie-mcp into the configuration of MCP clients."""

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from kie_mcp.cli.options import is_terminal, refuse, write_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kie_mcp.config import Settings
    from kie_mcp.errors import ConfigurationError
    from kie_mcp.install.change import Change
    from kie_mcp.install.clients import Client
    from kie_mcp.install.entry import Server

STYLES = {"+": "green", "-": "red", "@": "cyan"}
CAP_HINT = "A cap is recommended: `{command}` lets agents spend no more than 1,000 credits in 24 hours."


def install(
    clients: Annotated[
        list[str] | None, typer.Argument(metavar="[CLIENT]...", help="Names of clients; all that are found if none.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Use the built-in KIE: no key, nothing paid.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take kie-mcp out again.")] = False,
    print_for: Annotated[
        str, typer.Option("--print", metavar="CLIENT", help="Only print what belongs into the file of this client.")
    ] = "",
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Keep the key in the system's keyring, not in a file.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a file is changed.")] = False,
) -> None:
    """Put kie-mcp into the configuration of MCP clients, or take it out again.

    Each change is shown, and a copy of the old file is kept beside the new one. The key comes from KIE_API_KEY, or you
    are asked for it. Other KIE_MCP_ settings of this shell are copied into the configuration, but no secrets.
    """
    from kie_mcp import config
    from kie_mcp.install.change import make_snippet
    from kie_mcp.install.clients import find_folders
    from kie_mcp.install.command import find_command, name_command
    from kie_mcp.install.entry import Server
    from kie_mcp.install.key import copy_settings, describe_source, tell_missing_key

    settings = config.load()
    if sandbox:
        settings = settings.model_copy(update={"sandbox": True})
    keyring = keyring or settings.keyring
    server = Server(find_command(), copy_settings(settings) | describe_source(settings, keyring=keyring))
    console = Console(highlight=False)
    if print_for:
        client = _find_client(print_for)
        file = client.find_file(find_folders())
        typer.echo(f"In {file}:\n", err=True)
        console.print(Text(make_snippet(client, server).rstrip("\n")), soft_wrap=True)
        if missing := tell_missing_key(server):
            options = ["--keyring"] if keyring else []
            command = name_command(server.command, "install", *options, client.name)
            is_own = keyring or not settings.api_key_file or settings.api_key
            step = f"`{command}` stores it there." if is_own else "Write it into this file."
            typer.echo(f"\n{missing} {step}", err=True)
        return
    chosen = [_find_client(name) for name in clients or ()] or _list_clients()
    if not remove:
        _check_settings(settings)
    run = _Run(console, server, settings, keyring=keyring, dry_run=dry_run, asks=is_terminal() and not yes)
    succeeded = run.remove(chosen) if remove else run.install(chosen)
    if dry_run:
        run.say("Nothing was changed.")
    raise typer.Exit(0 if succeeded else 1)


def tell_how_to_install(console: Console) -> None:
    """Print how to install kie-mcp in the clients on this machine: with a command, and by hand for the first client."""
    from kie_mcp.install.change import make_snippet
    from kie_mcp.install.clients import CLIENTS, find_folders
    from kie_mcp.install.command import find_command, write_command
    from kie_mcp.install.entry import Server

    folders, command = find_folders(), find_command()
    found = [client for client in CLIENTS if client.is_there(folders)]
    names = ", ".join(client.title for client in found)
    console.print(Text(f"Next, in {names}:" if found else "Next, in your MCP client:"))
    typed = write_command((*command, "install", *(() if found else ("CLIENT",))), {})
    console.print(Text(f"  {typed}", "bold"), soft_wrap=True)
    client = next(iter(found), CLIENTS[0])
    console.print(Text(f"or by hand, for the sandbox, in {client.find_file(folders)}:"), soft_wrap=True)
    snippet = make_snippet(client, Server(command, {"KIE_MCP_SANDBOX": "1"}))
    console.print(Text(snippet.rstrip("\n")), soft_wrap=True)


class _Run:
    """Installs kie-mcp in several clients, or removes it from them, and prints each step."""

    def __init__(
        self, console: Console, server: "Server", settings: "Settings", *, keyring: bool, dry_run: bool, asks: bool
    ) -> None:
        self.console = console
        self.server = server
        self.settings = settings
        self.keyring = keyring
        self.dry_run = dry_run
        self.asks = asks
        self.refused = 0

    def install(self, clients: "Sequence[Client]") -> bool:
        """Install kie-mcp in clients, and return whether this succeeded in all clients."""
        from kie_mcp.doctor.clients import find_day_caps
        from kie_mcp.install.change import plan_install
        from kie_mcp.install.clients import find_folders
        from kie_mcp.install.key import list_uncopied_secrets

        if secrets := list_uncopied_secrets():
            self.say(f"Not copied, because secrets do not belong in configurations: {', '.join(secrets)}.")
        changes = self._plan(clients, lambda client, folders: plan_install(client, folders, self.server))
        if not self.dry_run and changes:
            self._keep_key(changes)
        written = self._apply(changes, "is in it already")
        if written:
            starts = self._try_out()
            for client in written:
                self.say(f"{client.title}: {client.after}")
            if None in find_day_caps(written, find_folders()).values():
                self.say(CAP_HINT.format(command=self._name("install", KIE_MCP_MAX_CREDITS_PER_DAY="1000")))
            if starts:
                self.say("Then ask for a picture: “Draw a red fox in the snow.”")
                self.say(f"If it does not work, `{self._name('doctor')}` tells why.")
        return not self.refused

    def remove(self, clients: "Sequence[Client]") -> bool:
        """Remove kie-mcp from clients, and return whether this succeeded in all clients."""
        from kie_mcp.install.change import plan_removal
        from kie_mcp.install.key import list_key_places

        changes = self._plan(clients, plan_removal)
        removed = self._apply(changes, "is not in it")
        servers = [server for change in changes if change.client in removed for server in change.before]
        for place in list_key_places(self.settings, servers) if removed else ():
            self.say(f"The key is still in {place}; delete it there if nothing else uses it.")
        return not self.refused

    def say(self, text: str, style: str = "") -> None:
        """Print a text, wrapped between words."""
        self.console.print(Text(text, style))

    def _plan(self, clients: "Sequence[Client]", plan: "Callable[[Client, dict[str, Path]], Change]") -> "list[Change]":
        from kie_mcp.errors import ConfigurationError
        from kie_mcp.install.clients import find_folders

        folders, changes = find_folders(), []
        for client in clients:
            try:
                changes.append(plan(client, folders))
            except ConfigurationError as error:
                self._refuse(client, error)
        return changes

    def _apply(self, changes: "Sequence[Change]", nothing: str) -> "list[Client]":
        """Show each change, write it if the user agrees, and return the clients whose files were changed."""
        from kie_mcp.errors import ConfigurationError

        changed = []
        for change in changes:
            self.say(f"{change.client.title}: {change.file.path}", "bold")
            if not change.is_needed:
                self.say(f"  kie-mcp {nothing}; nothing to change.")
                continue
            for line in change.diff:
                self.console.print(Text(f"  {line}", STYLES.get(line[:1], "")), soft_wrap=True)
            if self.dry_run or (self.asks and not typer.confirm("  Write this?", default=True)):
                continue
            try:
                copy = change.file.replace(change.after)
            except ConfigurationError as error:
                self._refuse(change.client, error)
                continue
            self.say(f"  Written; as it was, it is in {copy}." if copy else "  Written.")
            changed.append(change.client)
        return changed

    def _refuse(self, client: "Client", error: "ConfigurationError") -> None:
        self.refused += 1
        self.say(f"{client.title}: {error}", "red")
        self.say(f"  {write_commands(error.next_step)}")

    def _keep_key(self, changes: "Sequence[Change]") -> None:
        from kie_mcp.install.key import keep_key

        earlier = [server.env for change in changes for server in change.before]
        self.say(keep_key(self.settings, earlier, _ask_for_key, keyring=self.keyring))

    def _name(self, *arguments: str, **settings: str) -> str:
        """Return a command of kie-mcp, in the form that a person types, such as `uvx kie-mcp doctor`."""
        from kie_mcp.install.command import name_command

        return name_command(self.server.command, *arguments, **settings)

    def _try_out(self) -> bool:
        """Start the server with the clients' command, print how soon it answers, and return whether it answers."""
        import anyio

        from kie_mcp.install.start import measure_start

        try:
            seconds = anyio.run(measure_start, self.server)
        except (OSError, TimeoutError, ValueError) as error:
            self.refused += 1
            told = str(error).rstrip(".") or "it did not answer in time"
            self.say(f"It does not start: {told}. `{self._name('doctor')}` tells more.", "red")
            return False
        self.say(f"It starts, and answers in {seconds:.1f} s.")
        return True


def _check_settings(settings: "Settings") -> None:
    """Check the settings that a server reads only at its first call.

    Raises:
        ConfigurationError: With these settings, each call would fail.
    """
    from kie_mcp.doctor.storage import check_data_folder, check_output_folder
    from kie_mcp.errors import ConfigurationError
    from kie_mcp.server.selection import Selection

    Selection(os.environ.get("KIE_MCP_TOOLS", ""), os.environ.get("KIE_MCP_PREFIX", ""))
    for finding in (check_data_folder(settings), check_output_folder(settings)):
        if finding.status == "mend":
            raise ConfigurationError(finding.text, finding.next_step)


def _find_client(name: str) -> "Client":
    from difflib import get_close_matches

    from kie_mcp.install.clients import BY_NAME

    if client := BY_NAME.get(name.lower()):
        return client
    near = get_close_matches(name.lower(), BY_NAME, n=1)
    guess = f", did you mean {near[0]}?" if near else "."
    raise refuse(f"There is no client {name}{guess}", f"There are {', '.join(BY_NAME)}.")


def _list_clients() -> "list[Client]":
    """Return the clients that are on this machine."""
    from kie_mcp.install.clients import BY_NAME, CLIENTS, find_folders

    folders = find_folders()
    if found := [client for client in CLIENTS if client.is_there(folders)]:
        return found
    raise refuse("No MCP client is found here.", f"Name one, even if it is not there yet: {', '.join(BY_NAME)}.")


def _ask_for_key() -> str:
    """Ask for the key without showing it; return an empty text if there is no terminal."""
    if not is_terminal():
        return ""
    from kie_mcp.api_key import KEY_PAGE

    try:
        return getpass.getpass(f"Your key from {KEY_PAGE} (it is not shown): ")
    except (EOFError, KeyboardInterrupt):
        return ""
