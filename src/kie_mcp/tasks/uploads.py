"""What calls refer to, on its way to KIE: references become public URLs and KIE's own ids."""

import hashlib
import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import IO, NoReturn, TypeGuard
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

import anyio
import anyio.to_thread

from kie_mcp.catalog.fields import Limits, MediaRef, Ref, Track, task_id
from kie_mcp.clock import Clock
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import files
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.files import Uploaded
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.records import Upload
from kie_mcp.ledger.task import Result, Task, new_id
from kie_mcp.media import formats
from kie_mcp.media.limits import Content, problems

TRUSTED_FOR = files.LIFETIME - 3600
"""Seconds after which an upload is sent again rather than trusted to be there."""
RESULT = re.compile(r"task:(?P<task>[\w-]+)(?:#(?P<n>[\w-]+))?")


class Uploader:
    """Uploads what is local, once, and finds what is at KIE already."""

    def __init__(self, client: KieClient, ledger: Ledger, *, readable: Iterable[Path], clock: Clock) -> None:
        """Tie the parts together.

        Args:
            client: Where files are handed over.
            ledger: Where uploads are remembered, and earlier tasks found.
            readable: Folders that local files may come from; none refuses every local file.
            clock: Time.
        """
        self._client = client
        self._ledger = ledger
        self._readable = [folder.expanduser().resolve() for folder in readable]
        self._clock = clock
        self._flights: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def contents(self, refs: Sequence[Ref]) -> dict[Ref, str]:
        """What each reference stands for, whatever it is called: a file for its content. Nothing is sent.

        Raises:
            InvalidCall: When there is no such file or task, it may not be read, or the model does not take it.
        """
        return {ref: await self._content(ref) for ref in dict.fromkeys(refs)}

    async def _content(self, ref: Ref) -> str:
        if _is_local(ref):
            with self._open(ref) as content:
                await anyio.to_thread.run_sync(_refuse, content, ref.limits, ref)
                return await anyio.to_thread.run_sync(_sha256, content.file)
        match = RESULT.fullmatch(ref)
        if match and isinstance(ref, MediaRef):
            task, result = await self._earlier(ref, match["task"], match["n"] or "1")
            if not result.url:
                with _read(Path(result.path)):
                    pass
            return f"{task.id}#{task.results.index(result)}"
        address = await self._resolve(ref)
        uploaded = await self._ledger.live_uploads(self._clock.time(), url=address)
        return (uploaded[0].sha256 if uploaded else None) or address

    async def resolve(self, refs: Sequence[Ref]) -> dict[Ref, str]:
        """What each reference is for KIE; what is local is uploaded, unless it is there already.

        Raises:
            InvalidCall: As `contents()`.
            ApiError: When KIE does not take a file.
        """
        return {ref: await self._resolve(ref) for ref in dict.fromkeys(refs)}

    async def forget(self, urls: Iterable[str]) -> bool:
        """Upload these again when they are next needed, since KIE does not find them; whether any can be."""
        return bool(await self._ledger.forget_uploads([url for url in urls if url]))

    async def _resolve(self, ref: Ref) -> str:
        match ref:
            case MediaRef():
                return await self._publish(ref)
            case Track():
                return await self._song(ref)
            case _:
                id_ = task_id(ref)
                task = await self._ledger.find(id_)
                return (task and task.kie_id) or id_

    async def _publish(self, ref: MediaRef) -> str:
        if ref.startswith(("https://", "http://")):
            return _web_address(ref, ref.limits)
        if ref.startswith("kie://uploads/"):
            return await self._uploaded(ref)
        if match := RESULT.fullmatch(ref):
            return await self._result(ref, match["task"], match["n"] or "1")
        with self._open(ref) as content:
            return (await self._upload(content)).url

    async def address(self, reference: str) -> str:
        """The link of a result, or the link itself."""
        match = RESULT.fullmatch(reference)
        if not match:
            return _web_address(reference, Limits())
        _, result = await self._earlier(Ref(reference), match["task"], match["n"] or "1")
        return result.url

    async def upload_path(self, path: str) -> Upload:
        """Hand a local file over."""
        with self._open(path) as content:
            return await self._upload(content)

    async def upload_base64(self, text: str, name: str) -> Upload:
        """Hand over a file that came inside the call.

        Raises:
            InvalidCall: When the text is no base64, was cut on its way, or is too large for this way.
        """
        content = _from_data_uri(text) if text.startswith("data:") else _from_base64(text)
        if content.size > files.BASE64_LIMIT:
            raise InvalidCall("base64 carries at most 10 MB.", "Give the file's path or URL instead.")
        name = _named(name, _extension(content.mime_type))
        return await self._once(
            content, lambda: files.base64(self._client, content.file.read(), name, content.mime_type)
        )

    async def upload_url(self, url: str, name: str) -> Upload:
        """Have KIE fetch a public file."""
        address = _web_address(url, Limits())
        name = name or urlsplit(address).path
        suffix = Path(name).suffix.lower()
        name = _named(name, suffix if suffix[1:] in formats.TYPES else "")
        return await self._remember(await files.from_url(self._client, address, name), None)

    async def _remember(self, sent: Uploaded, sha256: str | None) -> Upload:
        """Write an upload down."""
        now = self._clock.time()
        upload = Upload(new_id("u"), sha256, sent.name, sent.url, sent.size, sent.mime_type, now, now + TRUSTED_FOR)
        await self._ledger.add_upload(upload)
        return upload

    async def _uploaded(self, ref: MediaRef) -> str:
        for upload in await self._ledger.live_uploads(self._clock.time(), id_=ref.rpartition("/")[2]):
            return upload.url
        raise InvalidCall(f"{ref} is not there any more.", "Upload the file again with upload_file.")

    async def _upload(self, content: Content) -> Upload:
        return await self._once(
            content, lambda: files.stream(self._client, content.file, content.name, content.mime_type)
        )

    async def _once(self, content: Content, send: Callable[[], Awaitable[Uploaded]]) -> Upload:
        """Hand a file over, unless the same is at KIE already; of several at once the first sends."""
        digest = await anyio.to_thread.run_sync(_sha256, content.file)
        async with self._flights[digest]:
            for known in await self._ledger.live_uploads(self._clock.time(), sha256=digest):
                return known
            return await self._remember(await send(), digest)

    async def _result(self, ref: MediaRef, task_id: str, number: str) -> str:
        task, result = await self._earlier(ref, task_id, number)
        if result.url and (
            self._clock.time() < task.created + files.LIFETIME or not await anyio.Path(result.path).is_file()
        ):
            return result.url
        # The link may have died, or there never was one; the saved file has not.
        with _read(Path(result.path)) as content:
            return (await self._upload(content)).url

    async def _song(self, ref: Track) -> str:
        match = RESULT.fullmatch(ref)
        if not match:
            raise InvalidCall(f"{_shown(ref)} is no song.", "Write task:<id>#<n>, n counting the task's songs from 1.")
        number = match["n"] or "1"
        if not number.isdecimal():
            return number
        _, result = await self._earlier(ref, match["task"], number)
        if not result.id:
            raise InvalidCall(f"{ref} is no song of Suno's.", "Refer to a task of suno_music or suno_extend.")
        return result.id

    async def _earlier(self, ref: Ref, task_id: str, number: str) -> tuple[Task, Result]:
        task = await self._ledger.find(task_id)
        if not task:
            raise InvalidCall(f"{ref}: there is no task {task_id}.", "list_tasks shows the tasks there are.")
        if task.state != "succeeded":
            raise InvalidCall(f"{ref}: the task is {task.state}.", "Ask get_task until it has succeeded.")
        if not number.isdecimal() or not 1 <= int(number) <= len(task.results):
            raise InvalidCall(f"{ref}: the task has {len(task.results)} results.", "Count them from 1.")
        return task, task.results[int(number) - 1]

    @contextmanager
    def _open(self, reference: str) -> Iterator[Content]:
        if reference.startswith("data:"):
            yield _from_data_uri(reference)
            return
        if not self._readable:
            raise InvalidCall("This server reads no local files.", "Give a URL, a data URI, or task:<id>#<n>.")
        try:
            named = url2pathname(reference[7:]) if reference.startswith("file://") else reference
            place = Path(named).expanduser().resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise InvalidCall(
                f"There is no file {_shown(reference)}.", "Give a full path, a URL, a data URI, or task:<id>#<n>."
            ) from None
        if not any(place.is_relative_to(folder) for folder in self._readable):
            raise InvalidCall(
                f"{_shown(reference)} lies outside the folders this server may read.",
                "Move the file to Pictures or Downloads, or name its folder in KIE_MCP_READ_DIRS.",
            )
        with _read(place) as content:
            yield content


def _is_local(ref: Ref) -> TypeGuard[MediaRef]:
    elsewhere = ref.startswith(("https://", "http://", "kie://")) or RESULT.fullmatch(ref)
    return isinstance(ref, MediaRef) and not elsewhere


@contextmanager
def _read(path: Path) -> Iterator[Content]:
    if not path.is_file():
        # Opening a pipe would wait for a writer.
        raise InvalidCall(f"{_shown(path.name)} is no file.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidCall(f"{_shown(path.name)} cannot be read: {error.strerror}.") from None
    with file:
        mime_type = formats.mime_type(file.read(formats.HEAD)) or _not_media(path.name)
        file.seek(0)
        yield Content(file, _named(path.name, _extension(mime_type)), mime_type, path.stat().st_size)


def _refuse(content: Content, limits: Limits, called: str) -> None:
    if found := problems(content, limits):
        raise InvalidCall(
            f"{_shown(called)} {'; '.join(found)}.", "Nothing was sent. Convert the file or take another."
        )


def _not_media(name: str) -> NoReturn:
    # Uploads are public for a day: only what is media leaves the machine.
    raise InvalidCall(f"{_shown(name)} is no picture, clip or sound that KIE takes.", "Give a media file.")


def _from_data_uri(uri: str) -> Content:
    head, comma, payload = uri.partition(",")
    if not comma:
        raise InvalidCall("The data URI has no comma: it was cut on its way.", "Give the file's path or URL instead.")
    return _from_base64(payload) if head.endswith(";base64") else _in_memory(unquote_to_bytes(payload))


def _from_base64(text: str) -> Content:
    try:
        return _in_memory(b64decode("".join(text.split()), validate=True))
    except ValueError:
        raise InvalidCall(
            f"The base64 text is broken after {len(text)} characters: hosts cut long arguments.",
            "Give the file's path or URL instead.",
        ) from None


def _in_memory(content: bytes) -> Content:
    mime_type = formats.mime_type(content[: formats.HEAD]) or _not_media("The data")
    return Content(BytesIO(content), _named("file", _extension(mime_type)), mime_type, len(content))


def _extension(mime_type: str) -> str:
    return f".{formats.EXTENSIONS[mime_type]}"


def _named(name: str, suffix: str) -> str:
    """A name that no other upload has: KIE overwrites what has the same."""
    stem = re.sub(r"[^\w.-]+", "-", Path(name).stem, flags=re.ASCII).strip("-.") or "file"
    return f"{stem[:60]}-{token_hex(8)}{suffix}"


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return digest


def _web_address(url: str, limits: Limits) -> str:
    try:
        address = urlsplit(url)
    except ValueError:
        address = urlsplit("")
    if not address.hostname or re.search(r"\s", url):
        raise InvalidCall(f"{_shown(url)} is no web address.", "Give a URL that anybody can open.")
    subtype = formats.TYPES.get(Path(address.path).suffix[1:].lower(), "").rpartition("/")[2]
    # A server may give any picture as WebP, and KIE's examples for models that name JPEG and PNG have such an address.
    taken = [*limits.formats.split(), "webp"] if "png" in limits.formats else limits.formats.split()
    if subtype and limits.formats and subtype not in taken:
        raise InvalidCall(f"{_shown(url)} is {subtype}; the model takes {', '.join(limits.formats.split())}.")
    return url


def _shown(reference: str) -> str:
    return reference if len(reference) <= 80 else f"{reference[:60]}…"
