"""KIE's discovery API: the live catalogue, each model's schema, price text and success rate, with a cache on disk.

KIE answers one request a second for the whole account, so answers are cached for a day. When KIE does not answer, a
stale cached answer is used.
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

REQUEST_INTERVAL = 1.1
"""Shortest time between two requests, in seconds."""
CACHE_SECONDS = 24 * 3600
"""Seconds for which a cached answer is used."""
SUCCESS_RATE_CACHE_SECONDS = 600
"""Seconds for which a cached success rate is used; KIE counts success rates in intervals of ten minutes."""
HOUR = 3600

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model in KIE's live catalogue."""

    id: str
    title: str
    provider: str
    modes: tuple[str, ...]
    """Modes, spelled as in our catalogue, such as `text-to-video`."""
    price: str
    """Price text in KIE's own words and lines; empty where KIE gives none."""


class Discovery:
    """Reader of KIE's discovery API, with a cache on disk and at most one request a second."""

    def __init__(self, client: KieClient, folder: Path, *, clock: Clock | None = None) -> None:
        self._client = client
        self._folder = folder
        self._clock = clock or Clock()
        self._request_lock = anyio.Lock()
        self._path_locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._last_request = float("-inf")

    async def read_models(self) -> dict[str, OfferedModel]:
        """Return every model that KIE offers today, by id."""
        data = await self._read_cached("/api/v1/models", CACHE_SECONDS)
        rows = data.get("models")
        listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return {str(row["model"]): _offered_model(row) for row in listed if row.get("model")}

    async def read_schema(self, id_: str) -> dict[str, Any] | None:
        """Return the JSON Schema of a model's `input`, with references resolved; None if KIE publishes no schema."""
        data = await self._read_cached(f"/api/v1/models/{id_}/schema", CACHE_SECONDS)
        document = data.get("openapi")
        return extract_input_schema(document) if isinstance(document, dict) else None

    async def read_success_rate(self, id_: str) -> float | None:
        """Return the share of tasks that succeeded in the last hour, from 0 to 1; None where KIE has no figures."""
        data = await self._read_cached(f"/api/v1/models/{id_}/success-rate", SUCCESS_RATE_CACHE_SECONDS)
        points = data.get("points")
        return mean_recent_rate(points if isinstance(points, list) else [], self._clock.time())

    async def _read_cached(self, path: str, cache_seconds: float) -> Schema:
        """Return KIE's answer, or the cached answer while it is fresh or when KIE does not answer.

        Args:
            path: Path of the request.
            cache_seconds: Seconds for which a cached answer is fresh.

        Raises:
            ApiError: When KIE refuses the request, or when KIE does not answer and the cache has no answer.
        """
        file = self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
        async with self._path_locks[path]:
            cached = await anyio.to_thread.run_sync(_read_cache, file)
            if cached and 0 <= self._clock.time() - cached["at"] < cache_seconds:
                return dict(cached["data"])
            try:
                data = await self._fetch(path)
            except ApiError as error:
                if cached and error.retryable:
                    return dict(cached["data"])
                raise
            await anyio.to_thread.run_sync(_write_cache, file, {"at": self._clock.time(), "path": path, "data": data})
            return data

    async def _fetch(self, path: str) -> Schema:
        """Request an answer from KIE, at least `REQUEST_INTERVAL` seconds after the last request."""
        async with self._request_lock:
            await self._clock.sleep(max(self._last_request + REQUEST_INTERVAL - self._clock.monotonic(), 0))
            try:
                data = await self._client.read_discovery(path)
            finally:
                self._last_request = self._clock.monotonic()
        # A proxy in front of KIE may answer with a web page instead.
        if not isinstance(data, dict):
            raise ApiError("KIE told nothing of its models.", "Try again.", retryable=True)
        return data


def _offered_model(row: Mapping[str, Any]) -> OfferedModel:
    kinds = row.get("taskType")
    return OfferedModel(
        id=str(row["model"]),
        title=_one_line(row.get("title")),
        provider=_one_line(row.get("provider")),
        modes=tuple(_spell_mode(each) for each in kinds) if isinstance(kinds, list) else (),
        price=str(row.get("pricingDesc") or "").strip(),
    )


def _one_line(text: object) -> str:
    """Return one of KIE's texts on one line."""
    return " ".join(str(text or "").split())


def _spell_mode(text: object) -> str:
    """Return a mode in our catalogue's spelling: `text-to-video` for `Text To Video`."""
    return "-".join(re.findall(r"[a-z0-9]+", str(text).lower()))


def _read_cache(file: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        cached = json.loads(file.read_bytes())
        if (
            isinstance(cached, dict)
            and isinstance(cached.get("at"), int | float)
            and isinstance(cached.get("data"), dict)
        ):
            return cached
    return None


def _write_cache(file: Path, cached: Mapping[str, Any]) -> None:
    # An error here is ignored, because without the cache the server only has to ask KIE again.
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part")
        partial.write_text(json.dumps(cached), encoding="utf-8")
        partial.replace(file)


def extract_input_schema(document: Mapping[str, Any]) -> Schema | None:
    """Return the schema of `input` in one of KIE's OpenAPI documents; None when the document has no such schema.

    In the schema, references are resolved and alternatives are merged.
    """
    for path in _mappings(document.get("paths")):
        for operation in _mappings(path):
            for content in _mappings(_value_at(operation, "requestBody", "content")):
                found = _value_at(_resolve(content.get("schema"), document), "properties", "input")
                if fields := _value_at(found, "properties"):
                    named = {name: field if isinstance(field, dict) else {} for name, field in fields.items()}
                    return {"type": "object", "properties": named, "required": sorted(found.get("required") or ())}
    return None


def mean_recent_rate(points: list[Any], now: float) -> float | None:
    """Return the mean success rate of the last hour, from 0 to 1; None when nobody ran the model.

    Args:
        points: KIE's figures, one for each interval of ten minutes.
        now: Seconds since 1970.
    """
    intervals = [
        (_parse_time(point.get("end")), float(point["successRate"]), float(point.get("errorRate") or 0))
        for point in points
        if isinstance(point, dict) and isinstance(point.get("successRate"), int | float)
    ]
    # With neither success nor failure, nobody ran the model in that interval.
    recent = [(success, failure) for end, success, failure in intervals if end > now - HOUR and success + failure]
    if not recent:
        return None
    # KIE's pages do not say whether the rates are parts of 1 or of 100.
    whole = 100 if max(success + failure for success, failure in recent) > 1.5 else 1
    return sum(success for success, _ in recent) / len(recent) / whole


def _parse_time(moment: object) -> float:
    """Return seconds since 1970, from a time in seconds, milliseconds or ISO 8601; 0 for any other value."""
    if isinstance(moment, int | float):
        return moment / 1000 if moment > 1e11 else float(moment)
    with suppress(ValueError):
        parsed = datetime.fromisoformat(str(moment))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return 0


def _mappings(node: object) -> list[dict[str, Any]]:
    """Return those values of a mapping that are mappings; an empty list when the node is not a mapping."""
    return [each for each in node.values() if isinstance(each, dict)] if isinstance(node, dict) else []


def _value_at(node: object, *names: str) -> Any:
    """Return the value at a path of names; None when the path leads to no value."""
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _resolve(node: Any, document: Mapping[str, Any], within: frozenset[str] = frozenset()) -> Any:
    """Return a part of a document with its references resolved and its alternatives merged.

    Args:
        node: The part of the document.
        document: The document that the references point into.
        within: The references that are being resolved; a reference to one of these becomes an empty schema, so that
            a schema that refers to itself comes to an end.
    """
    if isinstance(node, list):
        return [_resolve(each, document, within) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        target = {} if reference in within else _reference_target(reference, document)
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _resolve({**target, **beside}, document, within | {reference})
    return _merge_alternatives({str(key).strip(): _resolve(value, document, within) for key, value in node.items()})


def _reference_target(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target of a reference, which may be percent-encoded; spaces around names are ignored."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~").strip()
        named = {str(key).strip(): value for key, value in node.items()} if isinstance(node, dict) else {}
        node = named.get(name)
    return node if isinstance(node, dict) else {}


def _merge_alternatives(schema: Schema) -> Schema:
    """Return one schema without `allOf`, `oneOf` and `anyOf`, which accepts what any of the alternatives accepts."""
    kept = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "allOf")}
    either = [part for key in ("oneOf", "anyOf") for part in _subschemas(schema, key) if part.get("type") != "null"]
    every = [*_subschemas(schema, "allOf"), *([reduce(_merge_any_of, either)] if either else []), kept]
    return reduce(_merge_all_of, every)


def _subschemas(schema: Schema, key: str) -> list[Schema]:
    """Return the schemas under the key `allOf`, `oneOf` or `anyOf`."""
    parts = schema.get(key)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _merge_all_of(one: Schema, other: Schema) -> Schema:
    """Return one schema for two schemas that both apply; for a key in both, the second schema's value is used."""
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = sorted({*one["required"], *other["required"]})
    return both


def _merge_any_of(one: Schema, other: Schema) -> Schema:
    """Return one schema for two schemas of which either may apply: the equal keys, and the properties of both."""
    either = {key: value for key, value in one.items() if key in other and other[key] == value}
    if "enum" in one and "enum" in other:
        either["enum"] = [*one["enum"], *(each for each in other["enum"] if each not in one["enum"])]
    if "properties" in one and "properties" in other:
        mine, yours = one["properties"], other["properties"]
        shared = {name: _merge_any_of(mine[name], yours[name]) for name in mine if name in yours}
        either["properties"] = {**mine, **yours, **shared}
        either["required"] = sorted({*one.get("required", ())} & {*other.get("required", ())})
    return either
