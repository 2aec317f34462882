"""The log: lines for people, or one JSON object per line for programs that collect logs.

A JSON line contains neither prompts nor KIE keys. For an error, the line contains the type and the place in the code,
but not the message, because a message may repeat texts of the caller.
"""

import logging
import sys
import traceback
from types import TracebackType

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.server.accounts.current import find_tenant
from kie_mcp.server.accounts.current import hide_key as hide_key_of_caller
from kie_mcp.server.operation.extras import need_extra

TEXT = "kie-mcp: %(levelname)s: %(message)s"
"""Format of a line for people."""
FIELDS = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message"}
"""The attributes of a log record that a JSON line contains; each value is the attribute's name in the line."""
EVENTS = ("kie_mcp.tasks.services", "kie_mcp.server.operation.audit")
"""Names of the loggers whose INFO lines are logged: each new state of a task, and each paid call."""


def set_up_log(settings: Settings) -> None:
    """Configure logging: the log of this process goes to stderr, in the format that the settings name.

    Raises:
        ConfigurationError: When the library for JSON is not installed.
    """
    if settings.log_format == "text":
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format=TEXT)
        return
    try:
        key = settings.key
    except ConfigurationError:
        # A missing key is no error here, because each call reports that the key is missing.
        key = ""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(build_formatter(key))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in EVENTS:
        logging.getLogger(name).setLevel(logging.INFO)


def build_formatter(key: str) -> logging.Formatter:
    """Return a formatter that writes log records as JSON, and that hides KIE keys in them.

    Raises:
        ConfigurationError: When the library for JSON lines is not installed.
    """
    with need_extra("serve", "KIE_MCP_LOG_FORMAT=json"):
        from pythonjsonlogger.json import JsonFormatter
    hide_key = make_key_filter(key)

    class SecretFormatter(JsonFormatter):
        """Formats a log record without the KIE keys of operator and caller, and without the messages of errors."""

        def format(self, record: logging.LogRecord) -> str:
            if tenant := find_tenant():
                record.tenant = tenant
            return hide_key_of_caller(hide_key(super().format(record)))

        def formatException(  # noqa: N802 - the name is that of the standard library
            self,
            ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
        ) -> str:
            return _describe_error(ei[1]) if ei[1] else ""

    return SecretFormatter(list(FIELDS), rename_fields=FIELDS, json_ensure_ascii=False)


def _describe_error(error: BaseException) -> str:
    """Return the traceback and the type of an error, after those of its causes; error messages are left out."""
    cause = error.__cause__ or error.__context__
    before = f"{_describe_error(cause)}\n" if cause else ""
    return before + "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
