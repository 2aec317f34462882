"""Create folders that only their owner may read, for the ledger and the sandbox."""

from pathlib import Path

from kie_mcp import disk
from kie_mcp.errors import ConfigurationError


def create_folder(folder: Path) -> Path:
    """Create a folder that only its owner may read, unless it exists; return the folder's path.

    Raises:
        ConfigurationError: When the folder cannot be created.
    """
    try:
        # The working folder may have been deleted, and a relative path would then lead nowhere.
        folder = folder.absolute()
        disk.create_folder(folder)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None
    return folder
