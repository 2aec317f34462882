"""Store the API key for the servers that clients start: in a file that only the user can read, or in the keyring.

The key is not written into a client's configuration, because configurations are often synchronized and shared.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kie_mcp.api_key import KEY_PAGE, KEYRING_NAMES, find_key_fault, read_keyring
from kie_mcp.config import KEY_FILE, KEY_NAMES, PREFIX, Settings, list_secret_names, list_variables
from kie_mcp.disk import create_folder, replace_file
from kie_mcp.errors import ConfigurationError
from kie_mcp.install.entry import Server

KEY_SETTINGS = KEY_NAMES | {"KIE_MCP_KEYRING"}
"""Settings that are or name the API key; `describe_source` writes another one into a client's configuration."""
HOW = "Set KIE_API_KEY for this command, or run it in a terminal, which asks for the key. --sandbox needs none."


def copy_settings(settings: Settings) -> dict[str, str]:
    """Return the settings of this process that are copied into a client's configuration, such as a spending cap."""
    not_copied = KEY_SETTINGS | list_secret_names()
    return {name.upper(): _write(name, settings) for name in list_variables() if name.upper() not in not_copied}


def _write(variable: str, settings: Settings) -> str:
    """Return a setting as text; folders are absolute, because a client starts the server in another working folder."""
    match getattr(settings, variable.upper().removeprefix(PREFIX).lower()):
        case Path() as folder:
            return str(folder.absolute())
        case [Path(), *_] as folders:
            return os.pathsep.join(str(folder.absolute()) for folder in folders)
    return os.environ[variable]


def list_uncopied_secrets() -> list[str]:
    """Return the names of the secret settings of this process, apart from the API key; they are not copied."""
    return sorted({name.upper() for name in list_variables()} & list_secret_names() - KEY_SETTINGS)


def describe_source(settings: Settings, *, keyring: bool) -> dict[str, str]:
    """Return the settings for a client's configuration that tell the server where to find the key."""
    if settings.sandbox:
        return {"KIE_MCP_SANDBOX": "1"}
    if keyring:
        return {"KIE_MCP_KEYRING": "1"}
    # `keep_key` stores the key from KIE_API_KEY in our own file, and leaves a file of the user as it is.
    file = None if _read_given_key(settings) else settings.api_key_file
    return {"KIE_API_KEY_FILE": str((file or settings.data_dir / KEY_FILE).absolute())}


def tell_missing_key(server: Server) -> str:
    """Return a sentence if there is no key yet where a server looks for it; otherwise an empty text."""
    if server.uses_keyring:
        return "" if read_keyring() else "The system's keyring has no key yet."
    file = server.env.get("KIE_API_KEY_FILE", "")
    return f"There is no key in {file} yet." if file and not os.path.lexists(file) else ""


def list_key_places(settings: Settings, servers: Iterable[Server]) -> list[str]:
    """Return the places in which the key stays when the servers are removed from the clients."""
    servers = list(servers)
    files = [Path(server.env.get("KIE_API_KEY_FILE", "")) for server in servers]
    # `Path.is_file()` raises an error if the file is in a folder that this user may not enter.
    places = [str(file) for file in (*files, settings.key_file) if file and os.path.isfile(file)]  # noqa: PTH113
    keyring = [f"the system's keyring ({', '.join(KEYRING_NAMES)})"]
    return list(dict.fromkeys(places)) + keyring * any(server.uses_keyring for server in servers)


def keep_key(settings: Settings, earlier: Iterable[Mapping[str, str]], ask: Callable[[], str], *, keyring: bool) -> str:
    """Store the key where `describe_source` says, unless it is stored there already; return a sentence for the user.

    The key comes from the first place that has one: the settings of this process, the place where it should be stored,
    `earlier`, or the user's answer.

    Args:
        settings: The settings of this process.
        earlier: The settings in each entry for kie-mcp that a client's configuration already has.
        ask: Asks the user for the key; returns an empty text if that is not possible.
        keyring: Whether to store the key in the system's keyring.

    Raises:
        ConfigurationError: When there is no key, the text cannot be a key, or the key cannot be stored.
    """
    if settings.sandbox:
        return "The sandbox needs no key; nothing is paid."
    given = _read_given_key(settings)
    if not given and (found := _find_kept(settings, keyring=keyring)):
        return found
    key = given or _find_earlier_key(earlier) or ask().strip()
    if not key:
        raise ConfigurationError("No KIE.ai key is given.", HOW)
    if fault := find_key_fault(key):
        raise ConfigurationError(f"The text that is given as a key {fault}.", f"Copy it from {KEY_PAGE}.")
    if keyring:
        _write_keyring(key)
        return "The key is in the system's keyring."
    file = settings.data_dir / KEY_FILE
    _write_file(file, key)
    return f"The key is in {file}, which only you can read."


def _read_given_key(settings: Settings) -> str:
    return settings.api_key.get_secret_value().strip() if settings.api_key else ""


def _find_earlier_key(earlier: Iterable[Mapping[str, str]]) -> str:
    """Return the first key in the settings of earlier entries that is no placeholder such as `your-key`; or else ""."""
    keys = (env.get(name, "").strip() for env in earlier for name in ("KIE_API_KEY", "KIE_AI_API_KEY"))
    return next((key for key in keys if key and not find_key_fault(key)), "")


def _find_kept(settings: Settings, *, keyring: bool) -> str:
    """Return a sentence that says where the key is stored already; empty if it is not stored yet."""
    if keyring:
        return "The key is in the system's keyring already." if read_keyring() else ""
    file = settings.key_file
    if not file:
        return ""
    try:
        # `.key` reads the file, and raises an error if the file contains no key.
        return f"The key is in {file} already." if Settings(KIE_API_KEY_FILE=file).key else ""
    except ConfigurationError:
        if settings.api_key_file:
            raise
        # Our own file is written anew.
        return ""


def _write_file(file: Path, key: str) -> None:
    try:
        create_folder(file.parent)
        replace_file(file, f"{key}\n".encode())
    except OSError as error:
        step = "Set KIE_MCP_DATA_DIR to a folder that you can write."
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.", step) from None


def _write_keyring(key: str) -> None:
    if read_keyring() == key:
        return
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(*KEYRING_NAMES, key)
    except KeyringError as error:
        step = "Unlock the keyring, or leave --keyring out."
        raise ConfigurationError(f"The system's keyring cannot be written: {error}.", step) from None
