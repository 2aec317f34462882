"""Create folders that only their owner may read, for the ledger and the sandbox."""

from pathlib import Path

from kie_mcp import disk
from kie_mcp.errors import ConfigurationError


def create_folder(folder: Path) -> Path:
    """Create a folder that only its owner may read; do nothing if the folder exists. Return its absolute path.

    Raises:
        ConfigurationError: When the folder cannot be created.
    """
    try:
        # The path is made absolute here, because a relative path leads nowhere if the working folder is deleted.
        folder = folder.absolute()
        disk.create_folder(folder)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None
    return folder
