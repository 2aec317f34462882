"""Check, with the standard library alone, that a message has a form that the SDK accepts.

The checks are stricter than the SDK's. A message that fails a check is left to the SDK, whose answer comes later.
"""

from collections.abc import Callable, Mapping

PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"

MAX_ID = 2**53
"""Upper limit of integer ids. JSON libraries differ in how they write larger integers, so larger ids go to the SDK."""

Check = Callable[[object], bool]


def is_a(*kinds: type) -> Check:
    """Return a check for values that have exactly one of these types; for example, `True` is no `int` here."""
    return lambda value: type(value) in kinds


def is_one_of(*values: str) -> Check:
    """Return a check for values that are one of the given strings."""
    return lambda value: value in values


def is_list(of: Check) -> Check:
    """Return a check for lists whose items all pass the check `of`."""
    return lambda value: isinstance(value, list) and all(map(of, value))


def is_object(known: Mapping[str, Check], required: tuple[str, ...] = (), others: Check = lambda _: True) -> Check:
    """Return a check for JSON objects.

    Args:
        known: For the name of each known member, the check of its value.
        required: Names of the members that must not be missing; every other member may be missing.
        others: The check of all members that are not in `known`; by default, such members may have any value, because
            the SDK ignores them.
    """

    def check(value: object) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value for name in required)
            and all(known.get(name, others)(member) for name, member in value.items())
        )

    return check


def is_plain_id(value: object) -> bool:
    """Check that a value is an id of a request, and that every JSON library writes this id in the same way."""
    if isinstance(value, str):
        return value.isascii() and value.isprintable() and '"' not in value and "\\" not in value
    return type(value) is int and abs(value) < MAX_ID


def is_notification_name(value: object) -> bool:
    """Check that a value is the name of a notification."""
    return isinstance(value, str) and value.startswith("notifications/")


def is_nothing(_: object) -> bool:
    """Refuse every value; this is the check for members that a message must not have."""
    return False


is_flag, is_text, is_any_object = is_a(bool), is_a(str), is_object({})

is_icon = is_object(
    {"src": is_text, "mimeType": is_text, "sizes": is_list(is_text), "theme": is_one_of("dark", "light")},
    required=("src",),
)
is_client_info = is_object(
    {
        **dict.fromkeys(("name", "version", "title", "description", "websiteUrl"), is_text),
        "icons": is_list(is_icon),
    },
    required=("name", "version"),
)
is_task_requests = is_object(
    {"sampling": is_object({"createMessage": is_any_object}), "elicitation": is_object({"create": is_any_object})}
)
is_capabilities = is_object(
    {
        "roots": is_object({"listChanged": is_flag}),
        "sampling": is_object({"context": is_any_object, "tools": is_any_object}),
        "elicitation": is_object({"form": is_any_object, "url": is_any_object}),
        "experimental": is_object({}, others=is_any_object),
        "extensions": is_object({}, others=is_any_object),
        "tasks": is_object({"list": is_any_object, "cancel": is_any_object, "requests": is_task_requests}),
    }
)

is_request = is_object(
    {"jsonrpc": is_one_of("2.0"), "id": is_plain_id, "method": is_text, "params": is_any_object},
    required=("jsonrpc", "id", "method"),
    others=is_nothing,
)
is_notification = is_object(
    {"jsonrpc": is_one_of("2.0"), "method": is_notification_name, "params": is_any_object},
    required=("jsonrpc", "method"),
    others=is_nothing,
)

is_token = is_a(str, int)
is_handshake_meta = is_object({"progressToken": is_token, PROTOCOL_VERSION: is_nothing})
is_handshake_params = is_object({"_meta": is_handshake_meta, "cursor": is_text})
is_initialize_params = is_object(
    {
        "_meta": is_handshake_meta,
        "protocolVersion": is_text,
        "capabilities": is_capabilities,
        "clientInfo": is_client_info,
    },
    required=("protocolVersion", "capabilities", "clientInfo"),
)
is_modern_meta = is_object(
    {
        "progressToken": is_token,
        PROTOCOL_VERSION: is_text,
        CAPABILITIES: is_capabilities,
        CLIENT_INFO: is_client_info,
        LOG_LEVEL: is_nothing,
    },
    required=(PROTOCOL_VERSION, CAPABILITIES),
)
is_modern_params = is_object({"_meta": is_modern_meta, "cursor": is_text}, required=("_meta",))
