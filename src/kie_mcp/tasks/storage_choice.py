"""Choose where results are kept, by the settings."""

from pathlib import Path

from kie_mcp.tasks.storage import FolderStorage, Storage

CACHE_FOLDER = "media"
"""Name of the folder in the data folder for what is on the way to a bucket, and for copies of what is in it."""


def choose_storage(address: str, output_dir: Path, state_dir: Path, link_hours: float) -> Storage:
    """Return the bucket, or the output folder if there is none.

    Args:
        address: The bucket, as `s3://bucket/prefix`; empty if there is none.
        output_dir: The output folder.
        state_dir: The folder of the ledger, for copies of what is in the bucket.
        link_hours: Hours for which links to results in a bucket work.

    Raises:
        ConfigurationError: When the extra for buckets is not installed, or variables of AWS cannot be read.
    """
    if not address:
        return FolderStorage(output_dir)
    from kie_mcp.tasks.bucket import BucketStorage

    return BucketStorage(address, state_dir / CACHE_FOLDER, link_seconds=link_hours * 3600)
