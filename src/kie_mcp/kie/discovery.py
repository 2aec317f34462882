"""KIE's discovery API: what it offers today, each model's schema, price text and success rate.

One request a second for the whole account, whatever is asked, so answers are kept on disk for a day; an old one is
better than none when KIE does not answer.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import anyio.to_thread

from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError
from kie_mcp.kie.client import KieClient

SPACING = 1.1
"""Seconds between two requests."""
KEPT_FOR = 24 * 3600
RATE_KEPT_FOR = 600
"""KIE counts success in pieces of ten minutes."""
HOUR = 3600

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model as KIE lists it."""

    id: str
    title: str
    provider: str
    does: tuple[str, ...]
    """Modes, spelled as ours: `text-to-video`."""
    price: str
    """KIE's own words; empty where it gives none."""


class Discovery:
    """What KIE says of its models."""

    def __init__(self, client: KieClient, folder: Path, *, clock: Clock | None = None) -> None:
        self._client = client
        self._folder = folder
        self._clock = clock or Clock()
        self._asking = anyio.Lock()
        self._flights: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._asked = float("-inf")

    async def models(self) -> dict[str, OfferedModel]:
        """Every model that KIE offers today, by id."""
        data = await self._ask("/api/v1/models", KEPT_FOR)
        rows = data.get("models")
        listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return {str(row["model"]): _model(row) for row in listed if row.get("model")}

    async def schema(self, id_: str) -> dict[str, Any] | None:
        """The JSON Schema of a model's `input`, references resolved; None where KIE publishes none."""
        data = await self._ask(f"/api/v1/models/{id_}/schema", KEPT_FOR)
        document = data.get("openapi")
        return input_schema(document) if isinstance(document, dict) else None

    async def price(self, id_: str) -> str:
        """What KIE says a model costs, in its own words."""
        data = await self._ask(f"/api/v1/models/{id_}/price", KEPT_FOR)
        return _words(data.get("pricingDesc"))

    async def success_rate(self, id_: str) -> float | None:
        """The share of tasks that succeeded in the last hour, 0 to 1; None where KIE has no figures."""
        data = await self._ask(f"/api/v1/models/{id_}/success-rate", RATE_KEPT_FOR)
        points = data.get("points")
        return recent_rate(points if isinstance(points, list) else [], self._clock.time())

    async def _ask(self, path: str, kept_for: float) -> Schema:
        """What KIE answers, from the disk if that is young enough.

        Raises:
            ApiError: When KIE does not answer and nothing is kept.
        """
        place = self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
        async with self._flights[path]:
            kept = await anyio.to_thread.run_sync(_read, place)
            if kept and 0 <= self._clock.time() - kept["at"] < kept_for:
                return dict(kept["data"])
            try:
                data = await self._fetch(path)
            except ApiError as error:
                if kept and error.retryable:
                    return dict(kept["data"])
                raise
            await anyio.to_thread.run_sync(_write, place, {"at": self._clock.time(), "path": path, "data": data})
            return data

    async def _fetch(self, path: str) -> Schema:
        async with self._asking:
            await self._clock.sleep(max(self._asked + SPACING - self._clock.monotonic(), 0))
            try:
                data = await self._client.discover(path)
            finally:
                self._asked = self._clock.monotonic()
        # A page instead of data, from something before KIE, say.
        if not isinstance(data, dict):
            raise ApiError("KIE told nothing of its models.", "Try again.", retryable=True)
        return data


def _model(row: Mapping[str, Any]) -> OfferedModel:
    kinds = row.get("taskType")
    return OfferedModel(
        id=str(row["model"]),
        title=_words(row.get("title")),
        provider=_words(row.get("provider")),
        does=tuple(_mode(each) for each in kinds) if isinstance(kinds, list) else (),
        price=_words(row.get("pricingDesc")),
    )


def _words(text: object) -> str:
    """Text of KIE's on one line."""
    return " ".join(str(text or "").split())


def _mode(words: object) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", str(words).lower()))


def _read(place: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        kept = json.loads(place.read_bytes())
        if isinstance(kept, dict) and isinstance(kept.get("at"), int | float) and isinstance(kept.get("data"), dict):
            return kept
    return None


def _write(place: Path, kept: Mapping[str, Any]) -> None:
    # A cache that cannot be written costs time, nothing else.
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(kept), encoding="utf-8")
        part.replace(place)


def input_schema(document: Mapping[str, Any]) -> Schema | None:
    """The schema of `input` in one of KIE's OpenAPI documents, without references and alternatives."""
    for path in _mappings(document.get("paths")):
        for operation in _mappings(path):
            for content in _mappings(_at(operation, "requestBody", "content")):
                found = _at(_plain(content.get("schema"), document), "properties", "input")
                if fields := _at(found, "properties"):
                    named = {name: field if isinstance(field, dict) else {} for name, field in fields.items()}
                    return {"type": "object", "properties": named, "required": sorted(found.get("required") or ())}
    return None


def recent_rate(points: list[Any], now: float) -> float | None:
    """The mean success rate of the last hour's pieces, 0 to 1."""
    told = [
        (_seconds(point.get("end")), float(point["successRate"]), float(point.get("errorRate") or 0))
        for point in points
        if isinstance(point, dict) and isinstance(point.get("successRate"), int | float)
    ]
    # Neither success nor failure: nobody asked.
    recent = [(good, bad) for end, good, bad in told if end > now - HOUR and good + bad]
    if not recent:
        return None
    # KIE's pages do not say whether a whole is 1 or 100.
    whole = 100 if max(good + bad for good, bad in recent) > 1.5 else 1
    return sum(good for good, _ in recent) / len(recent) / whole


def _seconds(moment: object) -> float:
    if isinstance(moment, int | float):
        return moment / 1000 if moment > 1e11 else float(moment)
    with suppress(ValueError):
        told = datetime.fromisoformat(str(moment))
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    return 0


def _mappings(node: object) -> list[dict[str, Any]]:
    return [each for each in node.values() if isinstance(each, dict)] if isinstance(node, dict) else []


def _at(node: object, *names: str) -> Any:
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _plain(node: Any, document: Mapping[str, Any], within: frozenset[str] = frozenset()) -> Any:
    """A part of a document, without references and alternatives.

    Args:
        node: The part.
        document: What its references point into.
        within: The references that led here; a schema may refer to itself, and that says nothing more.
    """
    if isinstance(node, list):
        return [_plain(each, document, within) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = {} if reference in within else _target(reference, document)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _plain({**target, **beside}, document, within | {reference})
    return _one({str(key).strip(): _plain(value, document, within) for key, value in node.items()})


def _target(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference points to; it may be percent-encoded, and either side may have lost a trailing blank."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~").strip()
        named = {str(key).strip(): value for key, value in node.items()} if isinstance(node, dict) else {}
        node = named.get(name)
    return node if isinstance(node, dict) else {}


def _one(schema: Schema) -> Schema:
    """One schema instead of alternatives: it takes what any of them takes."""
    kept = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "allOf")}
    either = [part for key in ("oneOf", "anyOf") for part in _parts(schema, key) if part.get("type") != "null"]
    every = [*_parts(schema, "allOf"), *([reduce(_either, either)] if either else []), kept]
    return reduce(_both, every)


def _parts(schema: Schema, key: str) -> list[Schema]:
    parts = schema.get(key)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _both(one: Schema, other: Schema) -> Schema:
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = sorted({*one["required"], *other["required"]})
    return both


def _either(one: Schema, other: Schema) -> Schema:
    """What both say; of fields, all that either has."""
    either = {key: value for key, value in one.items() if key in other and other[key] == value}
    if "enum" in one and "enum" in other:
        either["enum"] = [*one["enum"], *(each for each in other["enum"] if each not in one["enum"])]
    if "properties" in one and "properties" in other:
        mine, yours = one["properties"], other["properties"]
        shared = {name: _either(mine[name], yours[name]) for name in mine if name in yours}
        either["properties"] = {**mine, **yours, **shared}
        either["required"] = sorted({*one.get("required", ())} & {*other.get("required", ())})
    return either
