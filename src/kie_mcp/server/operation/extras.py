"""Name the missing extra of this package if a setting needs a library that is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from kie_mcp.errors import ConfigurationError


@contextmanager
def need_extra(extra: str, setting: str) -> Iterator[None]:
    """Turn an ImportError in the `with` block, which imports the libraries of an extra, into an error for the operator.

    Raises:
        ConfigurationError: When the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"{setting} needs {error.name}, which is not installed.",
            f"Install kie-mcp with its extra {extra}: kie-mcp[{extra}]. Or leave {setting} out.",
        ) from None
