"""KIE's discovery API: the live catalogue, each model's schema, price text and success rate, with a cache on disk.

KIE answers one request a second for the whole account, so answers are cached for a day. When KIE does not answer, a
stale cached answer is used, and without one the snapshot of KIE's list.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.published_schema import Schema, UnusableSchema, extract_input_schema, one_line
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.snapshot import OfferedModel, Snapshot, spell_mode

LIST_PATH = "/api/v1/models"
"""Path of KIE's list of models."""
REQUEST_INTERVAL = 1.1
"""Shortest time between two requests, in seconds."""
CACHE_SECONDS = 24 * 3600
"""Seconds for which a cached answer is used."""
SUCCESS_RATE_CACHE_SECONDS = 600
"""Seconds for which a cached success rate is used; KIE counts success rates in intervals of ten minutes."""
KIND_SECONDS = 5
"""Seconds that `find_kind()` waits for KIE at most."""
HOUR = 3600
LONGEST_LABEL = 200
"""Most characters of a model's id, title and provider."""
LONGEST_PRICE = 5000
"""Most characters of a price text."""

T = TypeVar("T")


class Discovery:
    """Reader of KIE's discovery API, with a cache on disk and at most one request a second."""

    def __init__(
        self,
        client: KieClient,
        folder: Path,
        *,
        clock: Clock | None = None,
        snapshot: Callable[[], Snapshot] | None = None,
        cache_seconds: float = CACHE_SECONDS,
    ) -> None:
        """Store what is needed to ask KIE later.

        Args:
            client: The connection to KIE.
            folder: Folder of the cache.
            clock: The source of time. When left out, the system's clock is used.
            snapshot: Loads the snapshot to use when KIE does not answer. When left out, errors are raised then.
            cache_seconds: Seconds for which the cached list, schemas and prices are used.
        """
        self._client = client
        self._folder = folder
        self._clock = clock or Clock()
        self._load_snapshot = snapshot
        self._cache_seconds = cache_seconds
        self._request_lock = anyio.Lock()
        self._path_locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._last_request = float("-inf")

    async def read_models(self) -> dict[str, OfferedModel]:
        """Return every model that KIE offers today, by id; those of the snapshot when KIE does not answer."""
        try:
            return await self._read_cached(LIST_PATH, self._cache_seconds, _read_models)
        except ApiError as error:
            if self._snapshot and error.retryable:
                return dict(self._snapshot.models)
            raise

    async def find_kind(self, id_: str) -> Kind | None:
        """Return what a model makes; None when KIE does not list the model, or does not answer in `KIND_SECONDS`."""
        with anyio.move_on_after(KIND_SECONDS), suppress(ApiError):
            if model := (await self.read_models()).get(id_):
                return model.kind
        return None

    async def read_schema(self, id_: str) -> Schema | None:
        """Return the JSON Schema of a model's `input`; None if KIE publishes no schema.

        Raises:
            ApiError: When KIE refuses the request, or when KIE does not answer and neither cache nor snapshot helps.
            UnusableSchema: When the schema is too large.
        """
        try:
            return await self._read_cached(_schema_path(id_), self._cache_seconds, _read_schema)
        except ApiError as error:
            if self._snapshot and error.retryable and id_ in self._snapshot.models:
                return self._snapshot.schemas.get(id_)
            raise

    async def recall_models(self) -> dict[str, OfferedModel]:
        """Return the last known list of models without asking KIE; an empty one if none is known."""
        if cached := await anyio.to_thread.run_sync(_read_cache, self._cache_file(LIST_PATH)):
            return _read_models(cached["data"])
        return dict(self._snapshot.models) if self._snapshot else {}

    async def recall_schema(self, id_: str) -> Schema | None:
        """Return the last known schema of a model's `input` without asking KIE; None if no usable one is known."""
        cached = await anyio.to_thread.run_sync(_read_cache, self._cache_file(_schema_path(id_)))
        with suppress(UnusableSchema):
            if cached:
                return _read_schema(cached["data"])
        return self._snapshot.schemas.get(id_) if self._snapshot else None

    async def read_success_rate(self, id_: str) -> float | None:
        """Return the share of tasks that succeeded in the last hour, from 0 to 1; None where KIE has no figures."""

        def read(data: Schema) -> float | None:
            points = data.get("points")
            return mean_recent_rate(points if isinstance(points, list) else [], self._clock.time())

        return await self._read_cached(f"{LIST_PATH}/{id_}/success-rate", SUCCESS_RATE_CACHE_SECONDS, read)

    @cached_property
    def _snapshot(self) -> Snapshot | None:
        return self._load_snapshot() if self._load_snapshot else None

    def _cache_file(self, path: str) -> Path:
        return self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"

    async def _read_cached(self, path: str, cache_seconds: float, read: Callable[[Schema], T]) -> T:
        """Return what `read` makes of KIE's answer, or of the cached answer while it is fresh or KIE does not answer.

        Args:
            path: Path of the request.
            cache_seconds: Seconds for which a cached answer is fresh.
            read: Converts the data of an answer to the value to return. If it raises an error, the answer is not
                cached, so that the next call asks KIE again.

        Raises:
            ApiError: When KIE refuses the request, or when KIE does not answer and the cache has no answer.
        """
        file = self._cache_file(path)
        async with self._path_locks[path]:
            cached = await anyio.to_thread.run_sync(_read_cache, file)
            if cached and 0 <= self._clock.time() - cached["at"] < cache_seconds:
                return read(cached["data"])
            try:
                data = await self._fetch(path)
            except ApiError as error:
                if cached and error.retryable:
                    return read(cached["data"])
                raise
            answer = read(data)
            await anyio.to_thread.run_sync(_write_cache, file, {"at": self._clock.time(), "path": path, "data": data})
            return answer

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


async def take_snapshot(
    discovery: Discovery, earlier: Snapshot, as_of: str, only: Collection[str] = ()
) -> tuple[Snapshot, list[str]]:
    """Return a snapshot of what KIE publishes today, and the ids of the models whose schema could not be read.

    Args:
        discovery: KIE's discovery API, which answers for one model a second.
        earlier: An earlier snapshot, which supplies the schemas that are not read today.
        as_of: Today's date, such as 2026-10-08.
        only: KIE's ids of the models whose schemas are read; all when left out.

    Raises:
        ApiError: When KIE's list of models cannot be read.
    """
    models = await discovery.read_models()
    schemas, unread = {}, []
    for id_ in models:
        schema = earlier.schemas.get(id_)
        try:
            if id_ in (only or models):
                schema = await discovery.read_schema(id_)
        except (ApiError, UnusableSchema):
            unread.append(id_)
        if schema:
            schemas[id_] = schema
    return Snapshot(as_of, models, schemas), unread


def _schema_path(id_: str) -> str:
    return f"{LIST_PATH}/{id_}/schema"


def _read_models(data: Schema) -> dict[str, OfferedModel]:
    rows = data.get("models")
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    models = [_offered_model(row) for row in listed if row.get("model")]
    return {model.id: model for model in models if model.id}


def _read_schema(data: Schema) -> Schema | None:
    document = data.get("openapi")
    return extract_input_schema(document) if isinstance(document, dict) else None


def _offered_model(row: Mapping[str, Any]) -> OfferedModel:
    kinds = row.get("taskType")
    return OfferedModel(
        id=one_line(row["model"], LONGEST_LABEL),
        title=one_line(row.get("title"), LONGEST_LABEL),
        provider=one_line(row.get("provider"), LONGEST_LABEL),
        modes=tuple(spell_mode(each) for each in kinds) if isinstance(kinds, list) else (),
        price=str(row.get("pricingDesc") or "").strip()[:LONGEST_PRICE],
    )


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
    # KIE's pages do not say whether a rate of 50 % is written as 0.5 or as 50.
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
