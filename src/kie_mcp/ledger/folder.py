"""Create the folders of the ledger and of the sandbox, which only their owner may read."""

from pathlib import Path

from kie_mcp.errors import ConfigurationError


def create_folder(folder: Path) -> Path:
    """Create a folder that only its owner may read, if it does not exist, and return it.

    Raises:
        ConfigurationError: When the folder cannot be created.
    """
    try:
        # The folder holds users' prompts, so nobody but its owner may read it.
        for each in (*reversed(folder.parents), folder):
            each.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.", "Set KIE_MCP_DATA_DIR."
        ) from None
    return folder
