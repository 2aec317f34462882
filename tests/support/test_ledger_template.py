"""The new ledgers of tests are copies of one ledger."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from kie_mcp.ledger.tables import metadata
from support.ledgers import open_ledger

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_only_the_first_ledger_of_a_process_creates_its_tables(tmp_path: Path) -> None:
    await (await open_ledger(tmp_path / "first")).close()
    created: list[str] = []

    def note(_: sa.MetaData, connection: sa.Connection, **__: Any) -> None:
        created.append(connection.dialect.name)

    sa.event.listen(metadata, "before_create", note)
    try:
        await (await open_ledger(tmp_path / "second")).close()
    finally:
        sa.event.remove(metadata, "before_create", note)
    assert not created
