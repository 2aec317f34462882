"""Say which extra of the package is missing when a setting needs one."""

from collections.abc import Iterator
from contextlib import contextmanager

from kie_mcp.errors import ConfigurationError


@contextmanager
def need_extra(extra: str, setting: str) -> Iterator[None]:
    """Import what an extra brings inside the `with` block.

    Raises:
        ConfigurationError: When it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            f"{setting} needs {error.name}, which is not installed.",
            f"Install kie-mcp with its extra {extra}: kie-mcp[{extra}]. Or leave {setting} out.",
        ) from None
