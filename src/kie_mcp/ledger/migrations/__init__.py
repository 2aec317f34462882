"""Create the ledger's tables, or upgrade tables of an older version, in one transaction.

Alembic makes the upgrades, and is imported only when an upgrade is needed. To change a table, change `tables.py`, add a
revision to `versions/`, and store the output of `sqlite3 <file> .schema` for a new ledger as
`tests/ledger/schema-<version>.sql`. A revision may only add columns, tables, indexes and triggers, because running
processes of an older kie-mcp may use the same tables and must not fail.
"""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.tables import NEWEST, metadata

# The table `versions` gets another name here, because the package `versions` is in the same folder as this module.
from kie_mcp.ledger.tables import versions as version_table

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Revisions:
    """Alembic's revisions of the tables."""

    newest: str = NEWEST
    """Name of the newest revision, which is the version of the tables after an upgrade."""
    folders: tuple[Path, ...] = (FOLDER / "versions",)
    """Folders with the files of the revisions, one file for each revision."""
    may_be_newer: bool = False
    """Whether tables of a newer version are used as they are, instead of being refused."""


REVISIONS = Revisions()
BESIDE_NEWER = Revisions(may_be_newer=True)
"""The revisions for further ledgers of a process that already runs; newer replicas may have upgraded these ledgers."""


def find_version(connection: sa.Connection, revisions: Revisions = REVISIONS) -> str:
    """Return the version of the tables; empty when there are no tables yet.

    Raises:
        ConfigurationError: When the version is higher than the newest version that this program knows, unless
            `revisions.may_be_newer` is True.
    """
    if not sa.inspect(connection).has_table(version_table.name):
        return ""
    version = connection.execute(sa.select(version_table.c.version_num)).scalar() or ""
    if version > revisions.newest and not revisions.may_be_newer:
        raise ConfigurationError(
            f"A newer kie-mcp wrote this ledger (version {int(version)}, this one reads {int(revisions.newest)}).",
            "Update kie-mcp, or set KIE_MCP_DATA_DIR or KIE_MCP_DATABASE_URL to another ledger.",
        )
    return version


def migrate(connection: sa.Connection, revisions: Revisions = REVISIONS) -> None:
    """Create the tables, or upgrade them to the newest version; tables of the newest version stay unchanged.

    Args:
        connection: A connection whose open transaction holds a lock, so that no other process can migrate meanwhile.
        revisions: The revisions of the tables.

    Raises:
        ConfigurationError: When a newer kie-mcp wrote the tables.
    """
    version = find_version(connection, revisions)
    if not version:
        metadata.create_all(connection)
        connection.execute(sa.insert(version_table).values(version_num=NEWEST))
    if (version or NEWEST) < revisions.newest:
        _upgrade(connection, revisions)


def _upgrade(connection: sa.Connection, revisions: Revisions) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    options = {
        "script_location": str(FOLDER),
        "path_separator": "newline",
        "version_locations": "\n".join(map(str, revisions.folders)),
    }
    for name, value in options.items():
        # Alembic replaces `%(name)s` in a value by the value of another option. So each percent sign is doubled.
        config.set_main_option(name, value.replace("%", "%%"))
    command.upgrade(config, "head")
