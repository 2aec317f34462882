"""KIE's API key: where users get a key, which texts cannot be a key, and how the system's keyring is read."""

import re

from kie_mcp.errors import ConfigurationError

KEY_PAGE = "https://kie.ai/api-key"
"""Web page on which users create their API keys."""
NO_KEY = (
    f"Get a key at {KEY_PAGE} and run `kie-mcp install`, which asks for it, or set KIE_API_KEY in the server's "
    "environment (or name a file that holds it in KIE_API_KEY_FILE). Then restart the client. "
    "Without a key, KIE_MCP_SANDBOX=1 tries everything on a built-in KIE for free."
)
KEYRING_NAMES = ("kie-mcp", "api-key")
"""Service name and user name under which the system's keyring stores the API key."""
PLACEHOLDER = re.compile(
    r"\$.*|%\w+%|<.*>|\{.*\}|\[.*\]|(your|my|insert|paste|enter|replace)([-_ ].*)?|.*(api|kie|secret)[-_ ]?key.*|key"
    r"|x{3,}|\*+|\.{3}|change[-_ ]?me|todo|none|null|undefined",
    re.IGNORECASE,
)
"""Matches an example text, such as `YOUR_API_KEY` or `xxx`, that somebody forgot to replace with a key or token."""


def read_keyring() -> str | None:
    """Return the API key that the system's keyring has; None if it has none.

    Raises:
        ConfigurationError: When there is no keyring that can be read.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        step = "pip install 'kie-mcp[keyring]', or give the key in another way."
        raise ConfigurationError("KIE_MCP_KEYRING needs the package keyring, which is not installed.", step) from None
    try:
        return keyring.get_password(*KEYRING_NAMES)
    except KeyringError as error:
        raise ConfigurationError(f"The system's keyring cannot be read: {error}.", NO_KEY) from None


def find_key_fault(key: str) -> str:
    """Return what is wrong with a text that should be an API key, as the end of a sentence; empty if nothing is wrong.

    The result never contains the text itself, because the text may contain a real key.
    """
    if key[0] in "'\"`" or key[-1] in "'\"`":
        return "has quotes around the key, which belong to a shell; leave them out"
    if re.match(r"(authorization:\s*)?bearer\b", key, re.IGNORECASE):
        return "begins with Bearer, which is no part of the key; give the key alone"
    if re.match(r"(export\s+)?[A-Z_]+\s*=\s*\S", key):
        return "holds the name of the variable as well; give the key alone"
    if PLACEHOLDER.fullmatch(key):
        return "holds a placeholder that nobody has filled in, in place of a key"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "holds characters that no key has"
    return ""
