"""KIE's discovery API: the list of today's models, their schemas, price texts and success rates, cached on disk.

KIE answers only one request a second for an account, so lists and schemas are cached for a day, and success rates for
ten minutes. If KIE does not answer, an older cached answer is used. Without a cached answer, the snapshot is used. KIE
is asked the same again after a minute.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.to_thread

from kie_mcp import disk
from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.published_schema import Schema, UnusableSchema, extract_input_schema
from kie_mcp.clock import Clock
from kie_mcp.deadline import is_over, read_in_time
from kie_mcp.errors import ApiError, NotOffered
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.result_readers import parse_number
from kie_mcp.kie.snapshot import OfferedModel, Snapshot, spell_mode
from kie_mcp.kie.times import parse_time
from kie_mcp.text import make_visible, one_line

LIST_PATH = "/api/v1/models"
"""Path of the request for KIE's list of models."""
REQUEST_INTERVAL = 1.1
"""Minimum seconds between two requests to the discovery API."""
CACHE_SECONDS = 24 * 3600
"""Seconds for which a cached answer is used without asking KIE again."""
SUCCESS_RATE_CACHE_SECONDS = 600
"""Seconds for which a cached success rate is used; KIE publishes one rate for each interval of ten minutes."""
FAILURE_SECONDS = 60
"""Seconds after a failed request in which KIE is not asked the same again."""
KIND_SECONDS = 5
"""Maximum seconds that `find_kind()` waits for KIE's answer."""
HOUR = 3600
LONGEST_LABEL = 200
"""Maximum length of a model's id, title or provider, in characters; the rest is cut off."""
LONGEST_PRICE = 5000
"""Maximum length of a price text, in characters; the rest is cut off."""

T = TypeVar("T")


class KnownRate(NamedTuple):
    """A cached success rate of a model."""

    rate: float | None
    """Share of the model's tasks that succeeded in the last hour, from 0 to 1; None if it is not known."""
    is_fresh: bool
    """Whether the rate is new enough to be used without another request to KIE."""


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
        start_soon: Callable[..., None] | None = None,
    ) -> None:
        """Prepare the reader; it sends its first request when a method needs an answer.

        Args:
            client: The client of KIE's HTTP API.
            folder: Folder of the cached answers.
            clock: The source of time; when left out, the machine's clock is used.
            snapshot: Function that loads the snapshot to use when KIE does not answer; when left out, the methods raise
                errors instead.
            cache_seconds: Seconds for which cached lists and schemas are used without asking KIE again.
            start_soon: Function that starts a function with its arguments in the background: an answer that is too late
                for one call is then read for the next one. When left out, it is not.
        """
        self._client = client
        self._folder = folder
        self._clock = clock or Clock()
        self._load_snapshot = snapshot
        self._cache_seconds = cache_seconds
        self._start_soon = start_soon
        self._late_paths: set[str] = set()
        """Paths of the requests that are sent in the background, because their answers were too late for a call."""
        self._request_lock = anyio.Lock()
        self._path_locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self._last_request = float("-inf")
        self._failures: dict[str, tuple[float, ApiError]] = {}
        """Maps the path of a request to the time (by the monotonic clock) and error of its last temporary failure."""

    async def read_models(self) -> dict[str, OfferedModel]:
        """Return KIE's models; the key is the model's id.

        If KIE does not answer, the models in the cache are returned or, without a cache, those in the snapshot.
        """
        try:
            return await self._read_cached(LIST_PATH, self._cache_seconds, _read_models)
        except ApiError as error:
            if self._snapshot and error.retryable:
                return dict(self._snapshot.models)
            raise

    async def find_kind(self, id_: str) -> Kind | None:
        """Return the kind of result that a model makes; None if KIE does not list the model or does not answer soon."""
        with anyio.move_on_after(KIND_SECONDS), suppress(ApiError):
            if model := (await self.read_models()).get(id_):
                return model.kind
        return None

    async def read_schema(self, id_: str) -> Schema | None:
        """Return the JSON Schema of a model's `input`; None if KIE publishes no schema.

        Raises:
            ApiError: When KIE refuses the request, or when KIE does not answer and neither the cache nor the snapshot
                has the model.
            UnusableSchema: When the schema is too large or nested too deeply.
        """
        try:
            return await self._read_cached(_schema_path(id_), self._cache_seconds, _read_schema)
        except ApiError as error:
            if self._snapshot and error.retryable and id_ in self._snapshot.models:
                return self._snapshot.schemas.get(id_)
            raise

    async def recall_models(self) -> dict[str, OfferedModel]:
        """Return the models in the cache or else in the snapshot, without asking KIE; empty if there is neither."""
        cached = await self._recall(LIST_PATH)
        with suppress(ApiError):
            if cached:
                return _read_models(cached["data"])
        return dict(self._snapshot.models) if self._snapshot else {}

    async def recall_schema(self, id_: str) -> Schema | None:
        """Return a model's `input` schema without asking KIE; None if neither the cache nor the snapshot has it."""
        cached = await self._recall(_schema_path(id_))
        with suppress(UnusableSchema):
            if cached:
                return _read_schema(cached["data"])
        return self._snapshot.schemas.get(id_) if self._snapshot else None

    async def read_success_rate(self, id_: str) -> float | None:
        """Return the share of a model's tasks that succeeded in the last hour, from 0 to 1; None if it is not known.

        The rate is unknown if the model was not used in this hour, or if KIE publishes no rate for the model. The fact
        that KIE publishes no rate is cached for a day.
        """
        path = _success_rate_path(id_)
        if (known := await self.recall_success_rate(id_)) and known.is_fresh:
            return known.rate
        try:
            return await self._read_cached(path, SUCCESS_RATE_CACHE_SECONDS, self._mean_rate)
        except NotOffered:
            await self._store(path, {"points": None})
            return None

    async def recall_success_rate(self, id_: str) -> "KnownRate | None":
        """Return a model's cached success rate without asking KIE; None if no answer of KIE is cached."""
        cached = await self._recall(_success_rate_path(id_))
        if not cached:
            return None
        is_published = cached["data"].get("points") is not None
        lifetime = SUCCESS_RATE_CACHE_SECONDS if is_published else CACHE_SECONDS
        return KnownRate(self._mean_rate(cached["data"]), 0 <= self._clock.time() - cached["at"] < lifetime)

    def _mean_rate(self, data: Schema) -> float | None:
        points = data.get("points")
        return mean_recent_rate(points if isinstance(points, list) else [], self._clock.time())

    @cached_property
    def _snapshot(self) -> Snapshot | None:
        return self._load_snapshot() if self._load_snapshot else None

    def _cache_file(self, path: str) -> Path:
        return self._folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"

    async def _read_cached(self, path: str, cache_seconds: float, read: Callable[[Schema], T]) -> T:
        """Return KIE's answer, converted by `read`; use a cached answer if it is new, or if KIE does not answer.

        Args:
            path: Path of the request.
            cache_seconds: Seconds for which a cached answer is used without asking KIE again.
            read: Function that converts the `data` of an answer to the value to return. If it raises an error, the
                answer is not cached, so that the next call asks KIE again.

        Raises:
            ApiError: When KIE refuses the request, or when KIE does not answer before the deadline of the current call,
                and the cache has no answer.
        """
        try:
            return await read_in_time(self._clock, partial(self._read_in_turn, path, cache_seconds, read))
        except ApiError as error:
            if is_over(self._clock):
                self._read_later(path, cache_seconds, read)
            if error.retryable and (cached := await self._recall(path)):
                return read(cached["data"])
            raise

    async def _read_in_turn(self, path: str, cache_seconds: float, read: Callable[[Schema], T]) -> T:
        """Return a new cached answer, or else KIE's answer; calls that need the same answer wait for each other."""
        async with self._path_locks[path]:
            cached = await self._recall(path)
            if cached and 0 <= self._clock.time() - cached["at"] < cache_seconds:
                return read(cached["data"])
            data = await self._fetch(path)
            answer = read(data)
            await self._store(path, data)
            return answer

    def _read_later(self, path: str, cache_seconds: float, read: Callable[[Schema], object]) -> None:
        """Read an answer in the background, so that it is in the cache when a later call needs it."""
        if self._start_soon and path not in self._late_paths:
            self._late_paths.add(path)
            self._start_soon(self._fill_cache, path, cache_seconds, read)

    async def _fill_cache(self, path: str, cache_seconds: float, read: Callable[[Schema], object]) -> None:
        try:
            with suppress(ApiError, UnusableSchema):
                await self._read_in_turn(path, cache_seconds, read)
        finally:
            self._late_paths.discard(path)

    async def _recall(self, path: str) -> dict[str, Any] | None:
        return await anyio.to_thread.run_sync(_read_cache, self._cache_file(path))

    async def _store(self, path: str, data: Schema) -> None:
        cached = {"at": self._clock.time(), "path": path, "data": data}
        await anyio.to_thread.run_sync(_write_cache, self._cache_file(path), cached)

    async def _fetch(self, path: str) -> Schema:
        """Send a request, at least `REQUEST_INTERVAL` after the last one, and return the `data` of KIE's answer.

        If the same request failed in the last `FAILURE_SECONDS`, its error is raised again, so that calls that wait for
        the same answer do not all wait until KIE does not answer.
        """
        failed_at, failure = self._failures.get(path, (0, None))
        if failure and self._clock.monotonic() - failed_at < FAILURE_SECONDS:
            raise replace(failure)
        async with self._request_lock:
            await self._clock.sleep(max(self._last_request + REQUEST_INTERVAL - self._clock.monotonic(), 0))
            try:
                data = await self._client.read_discovery(path)
            except ApiError as error:
                if error.retryable:
                    self._failures[path] = (self._clock.monotonic(), error)
                raise
            finally:
                self._last_request = self._clock.monotonic()
        # The data has another type if, for example, a proxy in front of KIE answers with a web page.
        if not isinstance(data, dict):
            raise _senseless_answer_error()
        return data


async def take_snapshot(
    discovery: Discovery, earlier: Snapshot, as_of: str, only: Collection[str] = ()
) -> tuple[Snapshot, list[str]]:
    """Take a snapshot of the models and schemas that KIE publishes today.

    Args:
        discovery: KIE's discovery API; it returns the schema of one model a second.
        earlier: An earlier snapshot; schemas that are not read today are copied from this snapshot.
        as_of: Today's date, such as 2026-10-08.
        only: KIE's ids of the models whose schemas are read; when left out, all schemas are read.

    Returns:
        The snapshot, and the ids of the models whose schemas could not be read.

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


def _success_rate_path(id_: str) -> str:
    return f"{LIST_PATH}/{id_}/success-rate"


def _schema_path(id_: str) -> str:
    return f"{LIST_PATH}/{id_}/schema"


def _senseless_answer_error() -> ApiError:
    return ApiError("KIE's answer says nothing about its models.", "Try again.", retryable=True)


def _read_models(data: Schema) -> dict[str, OfferedModel]:
    """Return the models in KIE's list; raise an error if there is none, because KIE always offers models."""
    rows = data.get("models")
    listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    models = [_offered_model(row) for row in listed if row.get("model")]
    if not (offered := {model.id: model for model in models if model.id}):
        raise _senseless_answer_error()
    return offered


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
        price=make_visible(str(row.get("pricingDesc") or "")).strip()[:LONGEST_PRICE],
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
    # An error while writing the cache is ignored, because KIE can be asked again.
    with suppress(OSError):
        disk.create_folder(file.parent)
        disk.replace_file(file, json.dumps(cached).encode())


def mean_recent_rate(points: list[Any], now: float) -> float | None:
    """Return a model's mean success rate in the last hour, from 0 to 1; None if nobody used the model.

    Args:
        points: KIE's success and error rates, one item for each interval of ten minutes.
        now: The time now, in seconds since 1970.
    """
    intervals = [
        (success, parse_number(point.get("errorRate")) or 0)
        for point in points
        if isinstance(point, dict)
        and (parse_time(point.get("end")) or 0) > now - HOUR
        and (success := parse_number(point.get("successRate"))) is not None
    ]
    # Intervals in which both rates are 0 are skipped, because nobody used the model in them.
    recent = [(success, failure) for success, failure in intervals if success + failure]
    if not recent:
        return None
    # KIE's documentation does not say whether a rate of 50 % is the number 0.5 or 50, so both are understood.
    whole = 100 if max(success + failure for success, failure in recent) > 1.5 else 1
    return sum(success for success, _ in recent) / len(recent) / whole
