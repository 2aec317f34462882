"""Marks that users give to tasks."""

from pathlib import Path

import pytest
from support.ledgers import NOW, ids, open_ledger, task

from kie_mcp.ledger.marks import FAVOURITE, TAG, TRASHED

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_marks_are_set_by_their_beginning_and_find_tasks(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path / "data")
    for number in (1, 2, 3):
        await ledger.add(task(f"t_{number}", created=NOW + number))
    await ledger.marks.set("t_1", [FAVOURITE, f"{TAG}winter", f"{TAG}100%"])
    await ledger.marks.set("t_2", [f"{TAG}winter"], of=TAG)
    await ledger.marks.set("t_2", [TRASHED], of=TRASHED)
    assert await ledger.marks.find(["t_1", "t_2", "t_3"]) == {
        "t_1": [FAVOURITE, f"{TAG}100%", f"{TAG}winter"],
        "t_2": [f"{TAG}winter", TRASHED],
        "t_3": [],
    }
    assert ids(await ledger.page(marked=[f"{TAG}winter"])) == ["t_2", "t_1"]
    assert ids(await ledger.page(marked=[f"{TAG}winter", FAVOURITE])) == ["t_1"]
    assert ids(await ledger.page(unmarked=[TRASHED])) == ["t_3", "t_1"]
    assert await ledger.marks.list_tags() == ["100%", "winter"]
    await ledger.marks.set("t_1", [], of=f"{TAG}1")
    assert await ledger.marks.find(["t_1"]) == {"t_1": [FAVOURITE, f"{TAG}winter"]}
    assert await ledger.marks.find([]) == {}
    await ledger.close()
