"""Tell the operator which extra of this package to install if a setting needs a missing library."""

from collections.abc import Iterator
from contextlib import contextmanager

from kie_mcp.errors import ConfigurationError


@contextmanager
def need_extra(extra: str, setting: str) -> Iterator[None]:
    """If the `with` block raises an ImportError, raise an error that tells the operator which extra to install.

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
