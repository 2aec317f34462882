"""KIE's HTTP API: the key, the envelope `{code, msg, data}`, errors, retries of reads, how many at a time.

A read may be repeated. A create is sent once: only KIE's 429, which refuses and bills nothing, is tried again; an
answer that does not say what became of it is an `UnknownOutcome`.
"""

import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx2
import stamina

from kie_mcp import __version__
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited, UnknownOutcome
from kie_mcp.kie import routes, status
from kie_mcp.kie.rate_limit import RateLimiter, SlidingWindow
from kie_mcp.kie.routes import Endpoints, Route
from kie_mcp.kie.status import line, text

T = TypeVar("T")
Turn = Callable[[str], Awaitable[float]]
"""Takes a turn to create the task of this id here: 0, or how many seconds to wait before asking again."""

# Cloudflare refuses bare library names with 403 "error code: 1010".
USER_AGENT = f"kie-mcp/{__version__} (+https://modelcontextprotocol.io)"
TIMEOUT = httpx2.Timeout(60, connect=10)
CREATE_SECONDS = 90
"""After this long the answer to a create is given up, and what became of it is unknown."""
READ_SECONDS = 10
"""After this long a read is given up; it can be made again."""
UPLOAD_TIMEOUT = httpx2.Timeout(600, connect=10)
READ_ATTEMPTS = 4
READ_PAUSE = 0.2
DISCOVERY_PAUSE = 1.1
"""Seconds before a read is repeated, at least; discovery answers one request a second."""
CREATE_ATTEMPTS = 8
CREATE_PAUSE = 5
"""Seconds before a create that was refused for its rate is sent again."""
CREATES = (20, 11.0)
"""Creates, in seconds, per account. KIE's limit is 20 in 10 s by its own clock: what was on its way for longer than the
21st after it, such as the first ones over new connections, counts later there than here."""
STATUS_READS = 10
"""KIE's limit of status reads a second."""
SLOW_READS = 3
"""The same for Suno, and for 4o."""
SLOW = {"suno": re.compile("/v1/(generate|lyrics|wav|mp4|vocal-removal|midi|suno|voice)/"), "4o": re.compile("/gpt4o-")}
LONGEST_PAUSE = 60
"""Seconds that KIE may ask for between two attempts."""

# What a read cannot tell about the task: the key, the rate, maintenance, trouble at KIE.
NOT_ABOUT_THE_TASK = {401, 402, 403, 429, 433, 455, 500, *range(502, 531)}
# 501: could not be made; 505: switched off; 531: failed and refunded; 4030: not in this region.
REFUSED = {*range(300, 500), 501, 505, 531, 4030} - {408}
"""What a create can be answered with when certainly nothing runs and nothing is billed."""
NOT_YET = (400, 422)
"""What a create that is repeated can be answered with until its file is there, and even then."""

NO_MODEL = re.compile(
    r"\b(no such|unknown|invalid|unsupported) model\b"
    r"|\bmodel\b.{0,120}\b(not (found|exist|available|supported|offered|valid)|no longer|unknown|unavailable)\b",
    re.IGNORECASE,
)
"""A 422 that names the model, rather than what the model was asked."""

OTHER_MODEL = "Choose another model: find_models lists them."
OTHER_ADDRESS = (
    f"{OTHER_MODEL} If nothing works, check KIE_MCP_BASE_URL, KIE_MCP_UPLOAD_URL and KIE_MCP_ROUTE in the environment."
)
OTHER_KEY = "Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key."
LOOK = "Do not repeat the call: look at https://kie.ai/logs, then settle it with resolve_task."
"""What to do when nobody knows whether a task exists."""
MEANINGS: dict[int, tuple[type[ApiError], str]] = {
    401: (AuthError, OTHER_KEY),
    402: (InsufficientCredits, "Top up at https://kie.ai/billing, then call again."),
    403: (AuthError, OTHER_KEY),
    404: (NotOffered, OTHER_ADDRESS),
    405: (NotOffered, OTHER_ADDRESS),
    409: (ApiError, "Use the one that exists: list_tasks shows the tasks there are."),
    429: (RateLimited, "Wait ten seconds."),
    433: (InsufficientCredits, "This key's own spending cap is reached: raise it at KIE."),
    451: (ApiError, "KIE could not fetch a file: upload it with upload_file."),
    455: (ApiError, "KIE is under maintenance: try again later."),
    501: (ApiError, "KIE could not make it: change the arguments, or choose another model."),
    505: (ApiError, f"KIE has switched this off. {OTHER_MODEL}"),
    531: (ApiError, "KIE could not make it and charged nothing: call again if you like."),
    4030: (ApiError, "KIE does not serve the region that this server is in."),
}
"""What went wrong and what to do, by KIE's code; a code that is missing here is about the arguments."""


class KieClient:
    """One account at KIE."""

    def __init__(
        self,
        key: str,
        *,
        base_url: str = "https://api.kie.ai",
        upload_url: str = "https://kieai.redpandaai.co",
        service: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        read_seconds: float = READ_SECONDS,
        create_seconds: float = CREATE_SECONDS,
    ) -> None:
        self.turn: Turn | None = None
        """Asked before each create; without it, creates are not held back."""
        self.base_url = base_url.rstrip("/")
        self.service = service
        self.upload_url = self.base_url if service else upload_url.rstrip("/")
        self.endpoints: Endpoints = routes.SERVICE if service else routes.DOCUMENTED
        self.clock = clock or Clock()
        self.http = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, headers={"User-Agent": USER_AGENT})
        self._authorization = {"Authorization": f"Bearer {key}"}
        # Distinguishes accounts without telling the key.
        self.account = hashlib.blake2b(key.encode(), digest_size=8, person=b"kie-mcp").hexdigest()
        self._line = anyio.Lock()
        self._read_seconds = read_seconds
        self._create_seconds = create_seconds
        self._reads = SlidingWindow(STATUS_READS, 1)
        self._slow_reads = {name: SlidingWindow(SLOW_READS, 1) for name in SLOW}
        self._readers = RateLimiter(self.clock, self._reads)
        self._slow_readers = {
            name: RateLimiter(self.clock, window, self._reads) for name, window in self._slow_reads.items()
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def create(self, path: str, body: Mapping[str, Any], id_: str = "") -> str:
        """Start a task and return KIE's id of it.

        Args:
            path: Of the route.
            body: What is sent.
            id_: The task's id here, for its turn.

        Raises:
            UnknownOutcome: When the task may exist. Never call again with the same body then.
            ApiError: When it certainly does not exist; nothing was billed.
        """
        return await self._in_turn(id_, lambda: self._create_once(path, body))

    async def ask(self, route: Route, body: Mapping[str, Any], id_: str = "") -> Any:
        """Start a task by a route whose answer tells of the task itself, and return that answer.

        Args:
            route: The route.
            body: What is sent.
            id_: The task's id here, for its turn.

        Raises:
            UnknownOutcome: When the task may exist.
            ApiError: When it certainly does not exist; nothing was billed.
        """
        return await self._in_turn(id_, lambda: self._ask_once(route, body))

    async def ask_again(self, route: Route, body: Mapping[str, Any]) -> Any:
        """The present answer of a route that is repeated; one attempt, since KIE wants time between two.

        Raises:
            ApiError: As for `status`.
        """
        await self._readers.acquire()
        return await self._read_once(
            route.method, self.base_url + route.create, whole=True, **_carrying(route.method, body)
        )

    async def status(self, path: str, task_id: str) -> Any:
        """The answer to a status read, as KIE gave it: an envelope, text that is no JSON, or None for no body.

        One attempt, when it is its turn: whoever watches a task asks again anyway.

        Raises:
            ApiError: When the answer says nothing of the task: key, rate, maintenance, no connection.
        """
        slow = (readers for name, readers in self._slow_readers.items() if SLOW[name].search(path))
        await next(slow, self._readers).acquire()
        return await self._read_once("GET", self.base_url + path, params={"taskId": task_id}, whole=True)

    def share_reads(self, servers: int) -> None:
        """Leave other servers of this account their part of the status reads."""
        self._reads.most = max(1, STATUS_READS // servers)
        for window in self._slow_reads.values():
            window.most = max(1, SLOW_READS // servers)

    async def discover(self, path: str) -> Any:
        """What the discovery API says; whoever asks more than once keeps a second between."""
        return await self._read("GET", self.base_url + path, pause=DISCOVERY_PAUSE)

    async def credits(self) -> float:
        """The account's balance."""
        data = await self._read("GET", self.base_url + self.endpoints.credits)
        # The list's own endpoint may wrap the figure.
        figure = data.get("credits", data.get("balance")) if isinstance(data, dict) else data
        try:
            return float(str(figure))
        except ValueError:
            raise ApiError("KIE answered without a balance.", "Try again.", retryable=True) from None

    async def download_url(self, url: str) -> str:
        """A link to one of KIE's own files that browsers save; it lives 20 minutes.

        Raises:
            ApiError: When the URL is not one of KIE's.
        """
        data = await self._read("POST", self.base_url + self.endpoints.download_url, json={"url": url})
        if not isinstance(data, str) or not data:
            raise ApiError("KIE answered without a link.", "Try again.", retryable=True)
        return data

    async def upload(self, path: str, **content: Any) -> Mapping[str, Any]:
        """Hand over a file; the answer's `downloadUrl` is public for about a day."""
        data = await self._read_once(
            "POST", self.upload_url + path, seconds=math.inf, timeout=UPLOAD_TIMEOUT, **content
        )
        if not isinstance(data, dict) or not data.get("downloadUrl"):
            raise ApiError("KIE took the file and named no URL.", "Try again.", retryable=True)
        return data

    async def _in_turn(self, id_: str, send: Callable[[], Awaitable[T]]) -> T:
        """Send a create; again only when KIE refuses it for its rate."""
        attempt = 1
        while True:
            # First come, first served; and one alone asks when it may be.
            async with self._line:
                while self.turn and (wait := await self.turn(id_)):
                    await self.clock.sleep(wait)
            try:
                return await send()
            except RateLimited as refused:
                if attempt == CREATE_ATTEMPTS:
                    raise
                attempt += 1
                await self.clock.sleep(refused.retry_after or CREATE_PAUSE)

    async def _create_once(self, path: str, body: Mapping[str, Any]) -> str:
        response = await self._send("POST", path, body)
        code, message, data = _envelope(response, _parsed(response))
        # 409: it exists already, and this is it.
        if code in (200, 409) and isinstance(data, dict) and (task_id := data.get("taskId") or data.get("task_id")):
            return str(task_id)
        raise _not_accepted(response, code, f"without a task id: {message or 'nothing'}", message)

    async def _ask_once(self, route: Route, body: Mapping[str, Any]) -> Any:
        response = await self._send(route.method, route.create, body)
        parsed = _parsed(response)
        code, message, _ = _envelope(response, parsed)
        if isinstance(parsed, dict) and (code == 200 or (route.repeated and code in NOT_YET)):
            state = status.read(route.shape, parsed).state
            if state in ("succeeded", "failed") or (state == "running" and route.repeated):
                return parsed
        raise _not_accepted(response, code, f"without a result: {message or 'nothing'}", message)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        try:
            with anyio.fail_after(self._create_seconds):
                return await self.http.request(
                    method, self.base_url + path, headers=self._authorization, **_carrying(method, body)
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _unreachable(error) from None
        except (httpx2.RequestError, TimeoutError) as error:
            raise _unknown(f"The connection broke while KIE was asked ({type(error).__name__}).") from None

    async def _read(self, method: str, url: str, *, pause: float = READ_PAUSE, **request: Any) -> Any:
        repeated = stamina.AsyncRetryingCaller(
            attempts=READ_ATTEMPTS, timeout=None, wait_initial=pause, wait_max=2, wait_jitter=0.3
        )
        return await repeated(_worth_another_try, self._read_once, method, url, **request)

    async def _read_once(
        self, method: str, url: str, *, whole: bool = False, seconds: float | None = None, **request: Any
    ) -> Any:
        try:
            with anyio.fail_after(seconds or self._read_seconds):
                response = await self.http.request(method, url, headers=self._authorization, **request)
        except (httpx2.RequestError, TimeoutError) as error:
            raise _unreachable(error) from None
        parsed = _parsed(response)
        code, message, data = _envelope(response, parsed)
        # Under 500 a record may come along: then it is the task that failed.
        if whole and (code not in NOT_ABOUT_THE_TASK or (code == 500 and data)):
            return parsed
        if code != 200:
            raise _error(code, message, _retry_after(response))
        return data


def _carrying(method: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"params" if method == "GET" else "json": body}


def _worth_another_try(error: Exception) -> bool | float:
    if isinstance(error, ApiError) and error.retryable:
        return error.retry_after or True
    return False


def _parsed(response: httpx2.Response) -> Any:
    if not response.content.strip():
        return None
    try:
        return response.json()
    except (ValueError, RecursionError):
        return response.text


def _envelope(response: httpx2.Response, parsed: Any) -> tuple[int, str, Any]:
    """Code, message and data; the body's code goes before the HTTP status."""
    frame = parsed if isinstance(parsed, dict) else {"msg": parsed}
    try:
        code = int(frame["code"])
    except (KeyError, TypeError, ValueError, OverflowError):
        code = response.status_code
    # Whoever answers may repeat what it was sent.
    key = response.request.headers["Authorization"].removeprefix("Bearer ")
    message = line(text(frame.get("msg") or frame.get("message")).replace(key, "[key]"))
    return code, message, frame.get("data")


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return max(0.0, min(float(response.headers["Retry-After"]), LONGEST_PAUSE))
    except (KeyError, ValueError):
        return None


def _unreachable(error: Exception) -> ApiError:
    what = "in time" if isinstance(error, httpx2.TimeoutException | TimeoutError) else f"({type(error).__name__})"
    return ApiError(f"KIE could not be reached {what}.", "Try again in a moment.", retryable=True)


def _not_accepted(response: httpx2.Response, code: int, how: str, message: str) -> ApiError:
    if code in REFUSED:
        return _error(code, message, _retry_after(response))
    return _unknown(f"KIE answered {code} {how}.", code)


def _unknown(message: str, code: int | None = None) -> UnknownOutcome:
    return UnknownOutcome(
        f"{message} The task may have been accepted and billed.",
        LOOK,
        billed=None,
        code=code,
    )


def _error(code: int, message: str, retry_after: float | None = None) -> ApiError:
    retryable = code in (408, 429, 455) or (500 <= code < 600 and code not in REFUSED)
    usual = "Try again in a moment." if retryable else "Change the arguments as the message says."
    kind, next_step = MEANINGS.get(code, (ApiError, usual))
    if code == 422 and NO_MODEL.search(message):
        kind, next_step = NotOffered, OTHER_MODEL
    said = f"KIE says {code}: {message or 'no reason'}"
    return kind(said, next_step, retryable=retryable, code=code, retry_after=retry_after)
