"""Uploads as the ledger keeps them."""

from typing import Any

import pytest
from support.ledgers import NOW

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.uploads import Upload

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


def upload(id_: str, **more: Any) -> Upload:
    usual: dict[str, Any] = {
        "sha256": "ab",
        "name": "a.png",
        "url": "https://kie.invalid/a",
        "size": 7,
        "mime_type": "image/png",
    }
    return Upload(**{"id": id_, **usual, "created": NOW, "expires": NOW + 60, **more})


async def test_uploads_are_told_apart_by_content_id_and_time(ledger: Ledger) -> None:
    old = upload("u_old", created=NOW - 9)
    new = upload("u_new", size=None)
    other = upload("u_other", sha256=None, created=NOW - 1, expires=NOW + 10)
    for each in (old, new, other):
        await ledger.uploads.add(each)
    assert await ledger.uploads.live(NOW) == [new, other, old]
    assert await ledger.uploads.live(NOW, sha256="ab") == [new, old]
    assert await ledger.uploads.live(NOW, sha256="cd") == []
    assert await ledger.uploads.live(NOW, id_="u_other") == [other]
    assert await ledger.uploads.live(NOW + 10, id_="u_other") == []
