"""Choose where results are kept, as the settings say."""

from pathlib import Path

from kie_mcp.tasks.storage import FolderStorage, Storage

CACHE_FOLDER = "media"
"""Name of the subfolder of the data folder that is used if results are kept in a bucket.

The subfolder contains partial files, and copies of results on this machine.
"""


def choose_storage(address: str, output_dir: Path, state_dir: Path, link_hours: float) -> Storage:
    """Return the storage for results: the bucket, or else the output folder.

    Args:
        address: The bucket, as `s3://bucket/prefix`; empty if there is none.
        output_dir: The output folder.
        state_dir: The data folder with the ledger. If there is a bucket, local copies of results are stored here too.
        link_hours: Hours for which links to results in a bucket work.

    Raises:
        ConfigurationError: When the optional packages for buckets are not installed, or when environment variables of
            AWS are not valid.
    """
    if not address:
        return FolderStorage(output_dir)
    from kie_mcp.tasks.bucket import BucketStorage

    return BucketStorage(address, state_dir / CACHE_FOLDER, link_seconds=link_hours * 3600)
