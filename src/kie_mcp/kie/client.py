"""KIE's HTTP API: the key, the envelope `{code, msg, data}`, errors, retries of reads, the rate window.

A read may be repeated. A create is sent once: only KIE's 429, which refuses and bills nothing, is tried again; an
answer that does not say what became of it is an `UnknownOutcome`.
"""

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx2
import stamina

from kie_mcp import __version__
from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError, AuthError, InsufficientCredits, NotOffered, RateLimited, UnknownOutcome
from kie_mcp.kie import routes
from kie_mcp.kie.routes import Endpoints

# Cloudflare refuses bare library names with 403 "error code: 1010".
USER_AGENT = f"kie-mcp/{__version__} (+https://modelcontextprotocol.io)"
TIMEOUT = httpx2.Timeout(60, connect=10)
READ_TIMEOUT = httpx2.Timeout(10, connect=5)
UPLOAD_TIMEOUT = httpx2.Timeout(600, connect=10)
READ_ATTEMPTS = 4
CREATE_ATTEMPTS = 8
WINDOW = (20, 10.0)
"""KIE's limit: creates, in seconds, per account."""
LONGEST_MESSAGE = 500

# What a read cannot tell about the task: the key, the rate, maintenance, trouble at KIE.
NOT_ABOUT_THE_TASK = {401, 402, 403, 429, 433, 455, 500, 502, 503, 504, 505}


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
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.service = service
        self.upload_url = self.base_url if service else upload_url.rstrip("/")
        self.endpoints: Endpoints = routes.SERVICE if service else routes.DOCUMENTED
        self.clock = clock or Clock()
        self.http = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, headers={"User-Agent": USER_AGENT})
        self._authorization = {"Authorization": f"Bearer {key}"}
        self._created: deque[float] = deque(maxlen=WINDOW[0])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def create(self, path: str, body: Mapping[str, Any]) -> str:
        """Start a task and return KIE's id of it.

        Raises:
            UnknownOutcome: When the task may exist. Never call again with the same body then.
            ApiError: When it certainly does not exist; nothing was billed.
        """
        attempt = 1
        while True:
            await self._room_in_the_window()
            try:
                return await self._create_once(path, body)
            except RateLimited as refused:
                if attempt == CREATE_ATTEMPTS:
                    raise
                attempt += 1
                await self.clock.sleep(refused.retry_after or WINDOW[1] / 2)

    async def status(self, path: str, task_id: str) -> Any:
        """The answer to a status read, as KIE gave it: an envelope, text that is no JSON, or None for no body.

        Raises:
            ApiError: When the answer says nothing of the task: key, rate, maintenance, no connection.
        """
        return await self._read("GET", self.base_url + path, params={"taskId": task_id}, whole=True)

    async def credits(self) -> float:
        """The account's balance."""
        data = await self._read("GET", self.base_url + self.endpoints.credits)
        # The list's own endpoint may wrap the figure.
        figure = next(iter(data.values()), None) if isinstance(data, dict) else data
        try:
            return float(str(figure))
        except ValueError:
            raise ApiError(f"KIE answered no balance but {_short(figure)}.", "Try again.", retryable=True) from None

    async def download_url(self, url: str) -> str:
        """A link to one of KIE's own files that browsers save; it lives 20 minutes.

        Raises:
            ApiError: When the URL is not one of KIE's.
        """
        data = await self._read("POST", self.base_url + self.endpoints.download_url, json={"url": url})
        return str(data)

    async def upload(self, path: str, **content: Any) -> Mapping[str, Any]:
        """Hand over a file; the answer's `downloadUrl` is public for about a day."""
        data = await self._read("POST", self.upload_url + path, attempts=1, timeout=UPLOAD_TIMEOUT, **content)
        if not isinstance(data, dict) or not data.get("downloadUrl"):
            raise ApiError("KIE took the file and named no URL.", "Try again.", retryable=True)
        return data

    async def _create_once(self, path: str, body: Mapping[str, Any]) -> str:
        self._created.append(self.clock.monotonic())
        try:
            response = await self.http.post(self.base_url + path, json=body, headers=self._authorization)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _unreachable(error) from None
        except httpx2.TransportError as error:
            raise _unknown(f"The connection broke while KIE was asked ({type(error).__name__}).") from None
        code, message, data = _envelope(_parsed(response), response.status_code)
        if code == 200 and isinstance(data, dict) and (task_id := data.get("taskId") or data.get("task_id")):
            return str(task_id)
        if code == 200 or (code >= 500 and code not in (501, 505)):
            raise _unknown(f"KIE answered {code} without a task id: {message or 'nothing'}.", code)
        raise _error(code, message, _retry_after(response))

    async def _room_in_the_window(self) -> None:
        most, seconds = WINDOW
        while len(self._created) == most and (wait := self._created[0] + seconds - self.clock.monotonic()) > 0:
            await self.clock.sleep(wait)

    async def _read(
        self, method: str, url: str, *, whole: bool = False, attempts: int = READ_ATTEMPTS, **request: Any
    ) -> Any:
        request.setdefault("timeout", READ_TIMEOUT)
        async for attempt in stamina.retry_context(
            on=_worth_another_try, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=2, wait_jitter=0.3
        ):
            with attempt:
                return await self._read_once(method, url, whole=whole, **request)
        raise AssertionError("the last attempt returns or raises")

    async def _read_once(self, method: str, url: str, *, whole: bool, **request: Any) -> Any:
        try:
            response = await self.http.request(method, url, headers=self._authorization, **request)
        except httpx2.TransportError as error:
            raise _unreachable(error) from None
        parsed = _parsed(response)
        code, message, data = _envelope(parsed, response.status_code)
        if whole and code not in NOT_ABOUT_THE_TASK:
            return parsed
        if code != 200:
            raise _error(code, message, _retry_after(response))
        return data


def _worth_another_try(error: Exception) -> bool | float:
    if isinstance(error, ApiError) and error.retryable:
        return error.retry_after or True
    return False


def _parsed(response: httpx2.Response) -> Any:
    if not response.content.strip():
        return None
    try:
        return response.json()
    except ValueError:
        return response.text


def _envelope(parsed: Any, http_status: int) -> tuple[int, str, Any]:
    """Code, message and data; the body's code goes before the HTTP status."""
    if not isinstance(parsed, dict):
        return http_status, _short(parsed or ""), None
    try:
        code = int(parsed.get("code", http_status))
    except (TypeError, ValueError):
        code = http_status
    return code, _short(parsed.get("msg") or parsed.get("message") or ""), parsed.get("data")


def _retry_after(response: httpx2.Response) -> float | None:
    try:
        return min(float(response.headers["Retry-After"]), 60)
    except (KeyError, ValueError):
        return None


def _short(text: object) -> str:
    return " ".join(str(text).split())[:LONGEST_MESSAGE]


def _unreachable(error: httpx2.TransportError) -> ApiError:
    what = "in time" if isinstance(error, httpx2.TimeoutException) else f"({type(error).__name__})"
    return ApiError(f"KIE could not be reached {what}.", "Try again in a moment.", retryable=True)


def _unknown(message: str, code: int | None = None) -> UnknownOutcome:
    return UnknownOutcome(
        f"{message} The task may have been accepted and billed.",
        "Do not repeat the call. Look at https://kie.ai/logs or at get_credits before you decide.",
        billed=None,
        code=code,
    )


def _error(code: int, message: str, retry_after: float | None = None) -> ApiError:
    said = f"KIE says {code}: {message or 'no reason'}"
    match code:
        case 401 | 403:
            return AuthError(said, "Check KIE_API_KEY, and the key's IP list at https://kie.ai/api-key.", code=code)
        case 402:
            return InsufficientCredits(said, "Top up at https://kie.ai/billing, then call again.", code=code)
        case 433:
            return InsufficientCredits(said, "This key's own spending cap is reached: raise it at KIE.", code=code)
        case 404 | 405:
            return NotOffered(said, "Choose another model: find_models lists them.", code=code)
        case 422 if "model" in message.casefold():
            return NotOffered(said, "Choose another model: find_models lists them.", code=code)
        case 429:
            return RateLimited(said, "Wait ten seconds.", retryable=True, code=code, retry_after=retry_after)
        case 455:
            return ApiError(said, "KIE is under maintenance: try again later.", retryable=True, code=code)
        case 408 | 500 | 502 | 503 | 504:
            return ApiError(said, "Try again in a moment.", retryable=True, code=code, retry_after=retry_after)
        case 451:
            return ApiError(said, "KIE could not fetch a file: upload it with upload_file.", code=code)
        case _:
            return ApiError(said, "Change the arguments as the message says.", code=code)
