"""The snapshot: a copy of KIE's list of models and schemas, which is used when KIE does not answer.

A snapshot is part of the package. The command `kie-mcp catalog sync` writes a newer snapshot to the user's data folder.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kie_mcp import disk
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.published_schema import Schema

SHIPPED = Path(__file__).with_name("snapshot.json")
"""Path of the snapshot that is part of the package."""
SNAPSHOT_FILE = "catalog.json"
"""Name of the file in the user's data folder to which `catalog sync` writes a snapshot."""


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model in KIE's list of models."""

    id: str
    title: str
    provider: str
    modes: tuple[str, ...]
    """Modes in the spelling of `KieModel.task_type`, such as `text-to-video`."""
    price: str
    """KIE's price text, such as `720P: 10 credits/s`; empty if KIE publishes none."""
    as_of: str = ""
    """Date of the snapshot that contains the model; empty if the model comes from KIE's own answer."""

    @property
    def kind(self) -> Kind:
        """The kind of result that the model makes; it is derived from the model's modes."""
        ends = {mode.rpartition("-")[2] for mode in self.modes}
        if "video" in ends:
            return "video"
        if ends & {"speech", "audio", "music", "sound", "dialogue", "effect"}:
            return "audio"
        return "text" if ends & {"text", "lyrics"} else "image"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """KIE's list of models and the models' schemas, as they were on one day."""

    as_of: str
    """The day on which the snapshot was taken, such as 2026-10-08."""
    models: Mapping[str, OfferedModel]
    """The models in KIE's list; the key is the model's id."""
    schemas: Mapping[str, Schema]
    """The JSON Schemas of the models' inputs; the key is the model's id, and models without a schema are missing."""

    async def read_models(self) -> dict[str, OfferedModel]:
        """Return the models in the snapshot, in the same form as `Discovery.read_models()`."""
        return dict(self.models)

    async def read_schema(self, id_: str) -> Schema | None:
        """Return the snapshot's schema of a model's input, in the same form as `Discovery.read_schema()`."""
        return self.schemas.get(id_)

    def write(self, file: Path) -> None:
        """Write the snapshot to a JSON file with one line for each model."""
        rows = {}
        for id_, model in self.models.items():
            row = {key: value for key, value in asdict(model).items() if value and key not in ("id", "as_of")}
            rows[id_] = row | ({"input": self.schemas[id_]} if id_ in self.schemas else {})
        lines = ",\n".join(f"{_dump(id_)}:{_dump(row)}" for id_, row in sorted(rows.items()))
        content = f'{{"as_of":{_dump(self.as_of)},"models":{{\n{lines}\n}}}}\n'
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace_file(file, content.encode(), private=False)


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read_snapshot(file: Path) -> Snapshot:
    """Read a snapshot from a file.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When the file contains no snapshot.
    """
    try:
        written = json.loads(file.read_bytes())
        as_of, rows = str(written["as_of"]), written["models"]
        models = {id_: _read_row(id_, row, as_of) for id_, row in rows.items()}
        return Snapshot(as_of, models, {id_: row["input"] for id_, row in rows.items() if "input" in row})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a snapshot") from error


def _read_row(id_: str, row: Mapping[str, Any], as_of: str) -> OfferedModel:
    return OfferedModel(
        id=id_,
        title=row.get("title", ""),
        provider=row.get("provider", ""),
        modes=tuple(row.get("modes", ())),
        price=row.get("price", ""),
        as_of=as_of,
    )


@cache
def read_shipped_snapshot() -> Snapshot:
    """Return the snapshot that is part of the package; it is read only once, and all tenants of a server share it."""
    return read_snapshot(SHIPPED)


def load_snapshot(folder: Path) -> Snapshot:
    """Return the newer of two snapshots: the one in the package, and the one in the user's data folder, if any."""
    snapshot = read_shipped_snapshot()
    with suppress(OSError, ValueError):
        synced = read_snapshot(folder / SNAPSHOT_FILE)
        return max(synced, snapshot, key=lambda each: each.as_of)
    return snapshot


def spell_mode(text: object) -> str:
    """Return a mode in the spelling of `KieModel.task_type`: `text-to-video` for `Text To Video`."""
    return "-".join(re.findall(r"[a-z0-9]+", str(text).lower()))
