"""Create the folders of the ledger and of the sandbox, which only their owner may read."""

from pathlib import Path

from kie_mcp.errors import ConfigurationError


def create_folder(folder: Path) -> Path:
    """Create a folder that only its owner may read, unless it exists; return the folder's path.

    Raises:
        ConfigurationError: When the folder cannot be created.
    """
    try:
        # Only the owner may read the folder, because it contains the user's prompts.
        for each in (*reversed(folder.parents), folder):
            each.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None
    return folder
