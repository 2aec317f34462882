"""KIE's HTTP API: the bearer key, the envelope `{code, msg, data}`, errors, timeouts, retries and rate limits.

Requests that only read are retried, except status reads. A create request (the request that starts a paid task) is
sent again only after an answer 429, which means that KIE made no task and billed nothing. If it is unknown whether KIE
made the task, `UnknownOutcome` is raised.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx2
import stamina

from kie_mcp.clock import Clock
from kie_mcp.deadline import read_in_time
from kie_mcp.errors import ApiError, RateLimited, UnknownOutcome
from kie_mcp.kie import bodies, codes, routes, status
from kie_mcp.kie.account import name_account
from kie_mcp.kie.advice import Advice, find_advice
from kie_mcp.kie.bodies import OversizedAnswer, parse_body, read_body
from kie_mcp.kie.connection import has_proxies, open_http
from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.kie.observation import Observe, observe_request
from kie_mcp.kie.rate_limit import CreateLimiter, ReadLimiters
from kie_mcp.kie.result_readers import LONGEST_URL, as_line, parse_number
from kie_mcp.kie.routes import Endpoints, Route

T = TypeVar("T")

CREATE_SECONDS = 90
"""Timeout of a create request, in seconds; after a timeout, it is unknown whether KIE made the task."""
READ_SECONDS = 10
"""Timeout of one attempt of a request that only reads, in seconds."""
UPLOAD_TIMEOUT = httpx2.Timeout(600, connect=10)
UPLOAD_SECONDS = 3600
"""Timeout of a whole upload, in seconds; an upload of 2 GB takes an hour at 5 Mbit/s."""
MAX_CREDITS = 1e12
"""Largest plausible balance, in credits; a larger number is a mistake in KIE's answer."""
READ_ATTEMPTS = 4
READ_BACKOFF_SECONDS = 0.2
"""Minimum seconds before the second attempt of a request that only reads."""
DISCOVERY_BACKOFF_SECONDS = 1.1
"""Minimum seconds before a request to the discovery API is retried; KIE allows one such request a second."""
CREATE_ATTEMPTS = 8
CREATE_BACKOFF_SECONDS = 5
"""Seconds until a create request is sent again after an answer 429, unless KIE asks for a longer or shorter wait."""
LONGEST_RETRY_AFTER = 60
"""Maximum seconds to wait before the next attempt; a longer time in the header Retry-After is shortened to this."""


class KieClient:
    """Client of KIE's HTTP API for one account."""

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
        upload_seconds: float = UPLOAD_SECONDS,
        create_limiter: CreateLimiter | None = None,
        read_limiters: ReadLimiters | None = None,
        observe: Observe | None = None,
        advice: Advice | None = None,
        is_shared: bool = False,
    ) -> None:
        """Prepare a client; it opens a connection only when it sends its first request.

        Args:
            key: KIE's API key.
            base_url: URL of KIE's API.
            upload_url: URL of KIE's file upload API.
            service: Whether to use the routes in KIE's model list instead of those in KIE's documented API.
            transport: Sends the requests; when left out, httpx2's default is used.
            clock: The source of time; when left out, the machine's clock is used.
            read_seconds: Timeout of one attempt of a request that only reads, in seconds.
            create_seconds: Timeout of a create request, in seconds.
            upload_seconds: Timeout of an upload, in seconds.
            create_limiter: Rate limiter that gives each create request a slot; when left out, there is no limit.
            read_limiters: The rate limiters of status reads; when left out, this client gets rate limiters of its own.
            observe: A function that is called after each request; when left out, no function is called.
            advice: Sentences for error messages; when left out, `find_advice(key)`.
            is_shared: Whether several callers use the account, and must not see one another's tasks.
        """
        self.base_url = base_url.rstrip("/")
        self.service = service
        self.upload_url = self.base_url if service else upload_url.rstrip("/")
        self.endpoints: Endpoints = routes.SERVICE if service else routes.DOCUMENTED
        self.clock = clock or Clock()
        self.has_proxies = transport is None and has_proxies()
        """True if requests may go through a proxy."""
        self.http = open_http(transport)
        self._authorization = {"Authorization": f"Bearer {key}"}
        self._hide_key = make_key_filter(key)
        self.account = name_account(key)
        self.advice = advice or find_advice(key)
        self.is_shared = is_shared
        self._create_limiter = create_limiter
        self._observe = observe
        self._create_order = anyio.Lock()
        self._read_seconds = read_seconds
        self._create_seconds = create_seconds
        self._upload_seconds = upload_seconds
        self._read_limiter = (read_limiters or ReadLimiters(self.clock)).find(self.account)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def create_task(self, path: str, body: Mapping[str, Any], task: Any = None) -> str:
        """Create a task at KIE and return KIE's id of the task.

        Args:
            path: Path of the create request on the route.
            body: The request body.
            task: The caller's record of the task; the client only passes it to the create limiter.

        Raises:
            UnknownOutcome: When KIE may have made the task. Do not send the same body again.
            ApiError: When KIE did not make the task; nothing was billed.
            InvalidCall: When the body cannot be sent.
        """
        bodies.check_encodable(body)
        return await self._with_create_slot(task, lambda: self._create_once(path, body))

    async def create_and_read(self, route: Route, body: Mapping[str, Any], task: Any = None) -> Any:
        """Create a task on a route that answers a create request with the task's state, and return this answer.

        Args:
            route: A route whose attribute `at_once` or `repeated` is true.
            body: The request body; a GET request sends these fields in its query.
            task: The caller's record of the task; the client only passes it to the create limiter.

        Raises:
            UnknownOutcome: When KIE may have made the task. Do not send the same body again.
            ApiError: When KIE did not make the task; nothing was billed.
            InvalidCall: When the body cannot be sent.
        """
        bodies.check_encodable(body)
        return await self._with_create_slot(task, lambda: self._create_and_read_once(route, body))

    async def repeat_create(self, route: Route, body: Mapping[str, Any], before: Callable[[], Awaitable[None]]) -> Any:
        """Send the create request of a `repeated` route again, and return KIE's answer; KIE does not bill it again.

        There is only one attempt, as KIE requires a pause between two. The function `before` is called just before it.

        Raises:
            ApiError: When the answer says nothing about the task; `read_status` lists the reasons.
        """
        await self._read_limiter.acquire(route.create)
        await before()
        url = self.base_url + route.create
        return await self._read_once(route.method, url, is_status=True, **_body_arguments(route.method, body))

    async def read_status(self, path: str, task_id: str) -> Any:
        """Send a status read, and return the body of KIE's answer: a JSON value, a text, or None if the body is empty.

        The client waits for a slot in the rate limit. It makes only one attempt, because the caller polls again anyway.

        Args:
            path: Path of the status read on the route.
            task_id: KIE's id of the task.

        Raises:
            ApiError: When the answer says nothing about the task, because KIE refuses the API key, limits the rate, is
                under maintenance or cannot be reached, or does not answer before the deadline of the current call.
        """

        async def read() -> Any:
            await self._read_limiter.acquire(path)
            return await self._read_once("GET", self.base_url + path, params={"taskId": task_id}, is_status=True)

        return await read_in_time(self.clock, read)

    async def expect_status_reads(self) -> None:
        """Lease slots for status reads in advance; called before many status reads are sent at once."""
        await self._read_limiter.expect_burst()

    async def read_discovery(self, path: str) -> Any:
        """Send a request to KIE's discovery API, and return the `data` of the answer.

        Callers must wait a second between two requests, because KIE's discovery API answers only one a second.
        """
        return await self._read("GET", self.base_url + path, backoff=DISCOVERY_BACKOFF_SECONDS)

    async def read_balance(self) -> float:
        """Return the account's balance, in credits.

        Raises:
            ApiError: When KIE does not answer, or when the answer has no valid number of credits.
        """
        data = await self._read("GET", self.base_url + self.endpoints.credits)
        # On the `service` routes, KIE may answer with an object that contains the balance, and not with a number.
        number = data.get("credits", data.get("balance")) if isinstance(data, dict) else data
        balance = parse_number(number)
        if balance is None or abs(balance) > MAX_CREDITS:
            raise ApiError("KIE answered without a balance.", "Try again.", retryable=True)
        return balance

    async def request_download_url(self, url: str) -> str:
        """Return a link, valid for 20 minutes, with which a browser downloads a file from KIE instead of showing it.

        Args:
            url: KIE's URL of the file.

        Raises:
            ApiError: When KIE does not answer with a link, for example because the URL is not a URL of KIE's files.
        """
        data = await self._read("POST", self.base_url + self.endpoints.download_url, json={"url": url})
        if not isinstance(data, str) or not 0 < len(data) <= LONGEST_URL:
            raise ApiError("KIE answered without a link.", "Try again.", retryable=True)
        return data

    async def upload(self, path: str, **content: Any) -> Mapping[str, Any]:
        """Upload a file, and return KIE's description of the file; its `downloadUrl` is public for about a day.

        Args:
            path: Path of the upload endpoint.
            **content: Arguments of httpx2's `request()` that hold the content, such as `files` or `json`.
        """
        data = await self._read_once(
            "POST",
            self.upload_url + path,
            seconds=self._upload_seconds,
            max_bytes=bodies.MAX_UPLOAD_BYTES,
            timeout=UPLOAD_TIMEOUT,
            **content,
        )
        if not isinstance(data, dict) or not data.get("downloadUrl"):
            raise ApiError("KIE took the file and named no URL.", "Try again.", retryable=True)
        return data

    async def _with_create_slot(self, task: Any, send: Callable[[], Awaitable[T]]) -> T:
        """Acquire a slot in the rate limit of create requests, and call `send`; retry only after an answer 429."""
        attempt = 1
        while True:
            # Only the request that has waited longest asks the limiter for a slot, so that the requests get their slots
            # in the order in which they came.
            async with self._create_order:
                while self._create_limiter and (wait := await self._create_limiter.acquire(self.account, task)):
                    await self.clock.sleep(wait)
            try:
                return await send()
            except UnknownOutcome:
                raise
            except ApiError as error:
                if self._create_limiter:
                    await self._create_limiter.note_refusal(task)
                if not isinstance(error, RateLimited) or attempt == CREATE_ATTEMPTS:
                    raise
                attempt += 1
                await self.clock.sleep(error.retry_after or CREATE_BACKOFF_SECONDS)

    async def _create_once(self, path: str, body: Mapping[str, Any]) -> str:
        """Send a create request once, and return the task id in KIE's answer."""
        response = await self._send("POST", path, body)
        code, message, data = _read_envelope(response, parse_body(response, self._hide_key))
        task_id = data.get("taskId") or data.get("task_id") if isinstance(data, dict) else None
        # An answer 409 may have the id of a task that exists already. Then this id is returned, as after a success.
        if task_id and codes.find(code).accepted:
            return str(task_id)
        if task_id:
            # An id contradicts the error, so a task may exist. With the id, the outcome can be settled.
            said = f"KIE answered {code} with the task id {as_line(task_id)}: {message or 'nothing'}."
            raise _unknown_outcome_error(said, self.advice)
        raise self._create_error(response, code, f"without a task id: {message or 'nothing'}", message)

    async def _create_and_read_once(self, route: Route, body: Mapping[str, Any]) -> Any:
        """Send a create request once, and return KIE's answer; raise an error if the answer lacks the task's state."""
        response = await self._send(route.method, route.create, body)
        answer = parse_body(response, self._hide_key)
        code, message, _ = _read_envelope(response, answer)
        if isinstance(answer, dict) and (code in codes.NO_ERROR or (route.repeated and codes.find(code).not_ready)):
            state = status.parse_status(route.shape, answer).state
            if state in ("succeeded", "failed") or (state == "running" and route.repeated):
                return answer
        raise self._create_error(response, code, f"without a result: {message or 'nothing'}", message)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """Send a create request; raise `UnknownOutcome` if the connection opens, but no complete answer arrives."""
        try:
            with anyio.fail_after(self._create_seconds):
                return await self._request(
                    method, self.base_url + path, bodies.MAX_BYTES, **_body_arguments(method, body)
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _unreachable_error(error) from None
        except OversizedAnswer as error:
            raise _unknown_outcome_error(str(error), self.advice) from None
        except (httpx2.RequestError, TimeoutError) as error:
            message = f"The connection broke while KIE was asked ({type(error).__name__})."
            raise _unknown_outcome_error(message, self.advice) from None

    async def _read(self, method: str, url: str, *, backoff: float = READ_BACKOFF_SECONDS, **request: Any) -> Any:
        """Send a request that only reads, and return the `data` of KIE's answer; retry after temporary errors.

        Raises:
            ApiError: When KIE does not answer, or not before the deadline of the current call.
        """
        retry = stamina.AsyncRetryingCaller(
            attempts=READ_ATTEMPTS, timeout=None, wait_initial=backoff, wait_max=2, wait_jitter=0.3
        )
        return await read_in_time(self.clock, lambda: retry(_is_retryable, self._read_once, method, url, **request))

    async def _read_once(
        self,
        method: str,
        url: str,
        *,
        is_status: bool = False,
        seconds: float | None = None,
        max_bytes: int = bodies.MAX_BYTES,
        **request: Any,
    ) -> Any:
        """Send a request once, and return the `data` of KIE's answer, or the whole answer for a status read."""
        try:
            with anyio.fail_after(seconds or self._read_seconds):
                response = await self._request(method, url, max_bytes, **request)
        except OversizedAnswer as error:
            raise ApiError(str(error), "Try again in a moment.", retryable=True) from None
        except (httpx2.RequestError, TimeoutError) as error:
            raise _unreachable_error(error) from None
        answer = parse_body(response, self._hide_key)
        code, message, data = _read_envelope(response, answer)
        # A status answer about the task is returned even if its code is an error. For example, a code 500 together with
        # the task's record means that the task failed, and not that the request failed.
        if is_status and codes.find(code).verdict(has_record=bool(data)) != "request":
            return answer
        if code != codes.SUCCESS:
            raise codes.error(code, message, _retry_after(response), advice=self.advice)
        return data

    async def _request(self, method: str, url: str, max_bytes: int, **request: Any) -> httpx2.Response:
        """Send a request with the API key, and return KIE's answer; raise the errors of `bodies.read_body()`."""
        with observe_request(method, url, self._observe) as seen:
            async with self.http.stream(method, url, headers=self._authorization, **request) as response:
                seen.status = response.status_code
                return await read_body(response, max_bytes)

    def _create_error(self, response: httpx2.Response, code: int, detail: str, message: str) -> ApiError:
        """Return the error for a create request that KIE refused, or whose outcome is unknown."""
        if codes.find(code).refused:
            return codes.error(code, message, _retry_after(response), advice=self.advice)
        return _unknown_outcome_error(f"KIE answered {code} {detail}.", self.advice, code)


def _body_arguments(method: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return httpx2's argument for the fields of a request; a GET request sends the fields in its query."""
    return {"params" if method == "GET" else "json": body}


def _is_retryable(error: Exception) -> bool | float:
    """Tell the library stamina whether to retry after an error; a number is the seconds to wait before the retry."""
    if isinstance(error, ApiError) and error.retryable:
        return error.retry_after or True
    return False


def _read_envelope(response: httpx2.Response, answer: Any) -> tuple[int, str, Any]:
    """Return the code, message and data of an answer; the HTTP status is the code if the body has no code."""
    envelope = answer if isinstance(answer, dict) else {"msg": answer}
    try:
        code = int(envelope["code"])
    except (KeyError, TypeError, ValueError, OverflowError):
        code = response.status_code
    return code, as_line(envelope.get("msg") or envelope.get("message")), envelope.get("data")


def _retry_after(response: httpx2.Response) -> float | None:
    """Return the seconds in the header Retry-After, at most LONGEST_RETRY_AFTER; None if it is missing or invalid."""
    try:
        return max(0.0, min(float(response.headers["Retry-After"]), LONGEST_RETRY_AFTER))
    except (KeyError, ValueError):
        return None


def _unreachable_error(error: Exception) -> ApiError:
    reason = "in time" if isinstance(error, httpx2.TimeoutException | TimeoutError) else f"({type(error).__name__})"
    return ApiError(f"KIE could not be reached {reason}.", "Try again in a moment.", retryable=True)


def _unknown_outcome_error(message: str, advice: Advice, code: int | None = None) -> UnknownOutcome:
    return UnknownOutcome(
        f"{message} The task may have been accepted and billed.",
        advice.check_task,
        billed=None,
        code=code,
    )
