"""Choose where results are kept, as the settings say."""

from pathlib import Path

from kie_mcp.tasks.storage import FolderStorage, Storage

CACHE_FOLDER = "media"
"""Name of the subfolder of the data folder for partial files, and for copies of results in a bucket."""


def choose_storage(address: str, output_dir: Path, state_dir: Path, link_hours: float) -> Storage:
    """Return the storage for results: the bucket, or else the output folder.

    Args:
        address: The bucket, as `s3://bucket/prefix`; empty if there is none.
        output_dir: The output folder.
        state_dir: The data folder with the ledger; copies of results in the bucket are stored in it too.
        link_hours: Hours for which links to results in a bucket work.

    Raises:
        ConfigurationError: When the optional packages for buckets are not installed, or when environment variables of
            AWS are not valid.
    """
    if not address:
        return FolderStorage(output_dir)
    from kie_mcp.tasks.bucket import BucketStorage

    return BucketStorage(address, state_dir / CACHE_FOLDER, link_seconds=link_hours * 3600)
