"""References: find the file, upload or earlier task that an argument names, and its URL or id at KIE."""

import re
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TypeGuard

import anyio.to_thread

from kie_mcp.catalog.fields import (
    AnyFile,
    Limits,
    MadeId,
    MediaRef,
    Ref,
    ResultRef,
    TaskRef,
    Track,
    parse_result_number,
    parse_task_id,
)
from kie_mcp.catalog.reference_spellings import name_task, unwrap
from kie_mcp.clock import Clock
from kie_mcp.errors import InvalidCall
from kie_mcp.kie import files
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import KEPT_FOR, Result, Task
from kie_mcp.ledger.uploads import Upload
from kie_mcp.media.content import Content
from kie_mcp.tasks import link_types
from kie_mcp.tasks.fitting import (
    check_file,
    check_kind,
    check_limits,
    check_same_size,
    check_total_lengths,
    describe_changes,
    fit_file,
)
from kie_mcp.tasks.made_ids import find_made_id
from kie_mcp.tasks.media_inputs import (
    abbreviate,
    decode_data_uri,
    guess_mime_type,
    hash_file,
    identify_file,
    prepare_url,
)
from kie_mcp.tasks.source_tasks import check_source
from kie_mcp.tasks.storage import Storage
from kie_mcp.tasks.uploads import Uploader

RESULT = re.compile(r"task:(?P<task>[\w-]+)(?:#(?P<n>[\w-]+))?")
"""Matches a reference to a task's result: `task:<id>#<n>` for result number n, `task:<id>` for the first result."""


class References:
    """Finds KIE's URL or id for each reference; a local file is uploaded to get a URL."""

    def __init__(self, uploader: Uploader, ledger: Ledger, clock: Clock, storage: Storage) -> None:
        self._storage = storage
        self._uploader = uploader
        self._ledger = ledger
        self._clock = clock
        self._changes: dict[int, str] = {}
        """Maps the hash of a reference's key to a text that says how the file or URL was changed the last time."""

    def explain_changes(self, refs: Sequence[Ref]) -> str:
        """Return sentences that say how files and URLs were changed before they were sent; empty if none was."""
        changed = [ref for ref in refs if hash(ref.key) in self._changes]
        sentences = (f"{abbreviate(list(unwrap(ref))[-1])}: {self._changes[hash(ref.key)]}." for ref in changed)
        return " ".join(dict.fromkeys(sentences))

    async def identify(self, refs: Sequence[Ref]) -> dict[Ref, str]:
        """Return, for each reference, a string that identifies its content, however the reference is spelled.

        For a file, it is the SHA-256, so two paths of equal files get the same string. For a task's result, it is the
        task's id and the number of the result; otherwise, it is a URL or KIE's id. Nothing is sent to KIE.

        Raises:
            InvalidCall: When a file or task does not exist, may not be read, or is not accepted by the model.
        """
        # If a file is given for several fields with different limits, it is checked once for each of these limits.
        unique = {ref.key: ref for ref in refs}
        return {ref: await self._identify(ref) for ref in unique.values()}

    async def resolve(self, refs: Sequence[Ref]) -> dict[Hashable, str]:
        """Return KIE's URL or id for the key of each reference; a local file is uploaded, unless KIE has it already.

        Raises:
            InvalidCall: When a file or task does not exist, may not be read, or is not accepted by the model.
            ApiError: When KIE refuses an upload.
        """
        return {key: await self._resolve(ref) for key, ref in {ref.key: ref for ref in refs}.items()}

    async def measure(self, refs: Sequence[Ref]) -> dict[str, float]:
        """Return the length in seconds of each file that is on this machine; the length of a picture is 0.

        For a link to a result of an earlier task, the saved file is measured. A file is left out if it is not on this
        machine, or if its length cannot be read. Nothing is sent to KIE.

        Raises:
            InvalidCall: When a file or task does not exist or may not be read, the files of a field are too long
                together, or a mask is not as large as its picture.
        """
        lengths = {ref: await self._measure(ref) for ref in dict.fromkeys(refs) if isinstance(ref, MediaRef)}
        known: dict[str, float] = {ref: seconds for ref, seconds in lengths.items() if seconds is not None}
        check_total_lengths(refs, known)
        alike = [ref for ref in refs if isinstance(ref, MediaRef) and ref.limits.same_size]
        check_same_size({ref: await self.measure_picture(ref) for ref in alike})
        return known

    async def measure_picture(self, ref: MediaRef) -> tuple[int, int] | None:
        """Return a picture's displayed width and height in pixels; None if the file cannot be read on this machine."""
        # The import is inside the function, because importing Pillow takes longer than the rest of the server's start.
        from kie_mcp.media import pictures

        with suppress(InvalidCall, pictures.UnreadablePicture):
            async with self._open_if_here(ref) as content:
                return await anyio.to_thread.run_sync(pictures.measure_picture, content.file) if content else None
        return None

    async def find_url(self, reference: str) -> str:
        """Return the URL of a task's result; a reference that is a URL is returned unchanged.

        Raises:
            InvalidCall: When the reference is neither a web address nor a result of a succeeded task, or the result has
                no URL, because its file was made on this machine.
        """
        match = self._match_result(reference)
        if not match:
            return prepare_url(reference, Limits(), self._uploader.own_urls)
        _, result = await self._find_result(Ref(reference), match["task"], match["n"] or "1")
        if not result.link:
            raise InvalidCall(
                f"{abbreviate(reference)} was made on this machine, so there is no link to it.",
                "get_task tells where its file is, and upload_file makes a link to it for a day.",
            )
        return result.link

    async def upload_result(self, reference: str, name: str = "") -> Upload | None:
        """Upload a result that has no URL, because its file was made on this machine; return None for other references.

        Args:
            reference: The reference.
            name: The name that the upload gets; if empty, the file's own name.

        Raises:
            InvalidCall: When the task has no such result, or its file is gone.
            ApiError: When KIE refuses the upload.
        """
        match = self._match_result(reference)
        if not match:
            return None
        _, result = await self._find_result(AnyFile(reference), match["task"], match["n"] or "1")
        async with self._open_result(result) as content:
            if not content or result.link:
                return None
            if not name:
                return await self._uploader.upload(content)
            return await self._uploader.upload_named(content, abbreviate(reference), name)

    @asynccontextmanager
    async def open(self, ref: MediaRef) -> AsyncIterator[Content]:
        """Open the file of a reference on this machine; for a link to a result, open the saved file.

        Raises:
            InvalidCall: When the file is not on this machine, does not exist, or may not be read.
        """
        async with self._open_if_here(ref) as content:
            if not content:
                raise InvalidCall(
                    f"{abbreviate(ref)} is not on this machine.", "Give a path, or task:<id>#<n> of a saved result."
                )
            yield content

    async def _identify(self, ref: Ref) -> str:
        if _is_local(ref):
            with self._open(ref) as content:
                await check_file(content, ref, keep_metadata=self._uploader.keep_metadata)
                return await anyio.to_thread.run_sync(hash_file, content.file)
        match = self._match_result(ref)
        if match and isinstance(ref, MediaRef):
            task, result = await self._find_result(ref, match["task"], match["n"] or "1")
            async with self._open_result(result) as content:
                if content:
                    await check_file(content, ref, keep_metadata=True)
            return f"{task.id}#{task.results.index(result)}"
        url = await self._resolve(ref)
        uploads = await self._ledger.uploads.live(self._clock.time(), url=url)
        return (uploads[0].sha256 if uploads else None) or url

    async def _measure(self, ref: MediaRef) -> float | None:
        async with self._open_if_here(ref) as content:
            return await anyio.to_thread.run_sync(_measure_content, content) if content else None

    @asynccontextmanager
    async def _open_if_here(self, ref: MediaRef) -> AsyncIterator[Content | None]:
        """Open the file of a reference, if the file is on this machine; otherwise, yield None."""
        if _is_local(ref):
            with self._open(ref) as content:
                yield content
            return
        match = self._match_result(ref)
        result = (
            (await self._find_result(ref, match["task"], match["n"] or "1"))[1]
            if match
            else await self._ledger.find_result(ref, self._clock.time() - KEPT_FOR)
        )
        async with self._open_result(result) if result else nullcontext() as content:
            yield content

    async def _resolve(self, ref: Ref) -> str:
        match ref:
            case MediaRef():
                return await self._resolve_media(ref)
            case MadeId():
                return await find_made_id(ref, self._ledger)
            case TaskRef() | Track():
                id_ = parse_task_id(ref)
                task = await self._ledger.find(id_)
                # A batch has the songs of its items, with KIE's ids, and no id of its own for calls that want the task.
                if task and not (task.is_batch and isinstance(ref, Track)):
                    await check_source(task, ref, self._ledger)
                if isinstance(ref, Track):
                    return await self._resolve_track(ref)
                _check_number(ref, task)
                return (task and task.kie_id) or id_
            case _:
                return str(ref)

    async def _resolve_media(self, ref: MediaRef) -> str:
        self._changes.pop(hash(ref.key), None)
        if match := self._match_result(ref):
            return await self._resolve_result(ref, match["task"], match["n"] or "1")
        if ref.startswith(("https://", "http://")):
            url = prepare_url(ref, ref.limits, self._uploader.own_urls)
            check_kind(guess_mime_type(url) or await self._find_link_type(url, ref), ref)
            if url != ref:
                self._changes[hash(ref.key)] = f"sent as {url}, the file's own URL"
            return url
        if ref.startswith("kie://uploads/"):
            return await self._resolve_upload(ref)
        with self._open(ref) as content:
            return await self._fit_and_upload(content, ref, keep_metadata=self._uploader.keep_metadata)

    async def _find_link_type(self, url: str, ref: MediaRef) -> str:
        """Return the MIME type of the file at a URL that has no file extension; empty if the type is unknown.

        The type is not needed, and empty, for a URL of KIE itself, and for a field that takes any kind of file.

        Raises:
            InvalidCall: The URL leads to a web page.
        """
        is_own = url.startswith(self._uploader.own_urls)
        found = "" if is_own or ref.medium == "file" else await self._uploader.link_types.find(url)
        if found == link_types.PAGE:
            raise InvalidCall(
                f"{abbreviate(ref)} leads to a web page, and no file.",
                "Nothing was sent. Give a link that leads to the file itself, or the path of the file.",
            )
        return found

    async def _fit_and_upload(self, content: Content, ref: MediaRef, *, keep_metadata: bool, url: str = "") -> str:
        """Convert and upload a file, and return its URL at KIE.

        If `url` is not empty, KIE already has the file there. A file that fits without a conversion is then not
        uploaded, and `url` is returned.
        """
        async with fit_file(content, ref.limits, ref, keep_metadata=keep_metadata) as fitted:
            await check_limits(fitted.content, ref.limits, ref)
            if url and fitted.content is content:
                return url
            if changes := describe_changes(content, fitted):
                self._changes[hash(ref.key)] = changes
            return (await self._uploader.upload(fitted.content)).url

    async def _resolve_upload(self, ref: MediaRef) -> str:
        for upload in await self._ledger.uploads.live(self._clock.time(), id_=ref.rpartition("/")[2]):
            check_kind(upload.mime_type, ref)
            return upload.url
        raise InvalidCall(f"{abbreviate(ref)} is not there any more.", "Upload the file again with upload_file.")

    async def _resolve_result(self, ref: MediaRef, task_id: str, number: str) -> str:
        task, result = await self._find_result(ref, task_id, number)
        # KIE's URL of an old result may have expired. In this case, the saved file is uploaded again.
        is_fresh = self._clock.time() < task.created + files.UPLOAD_LIFETIME
        async with self._open_result(result) as content:
            if not content:
                return result.link
            # The metadata of a result, such as the prompt, is kept in the file, because it came from KIE.
            return await self._fit_and_upload(content, ref, keep_metadata=True, url=result.url if is_fresh else "")

    async def _resolve_track(self, ref: Track) -> str:
        match = self._match_result(ref)
        if not match:
            raise InvalidCall(
                f"{abbreviate(ref)} is no song.", "Write task:<id>#<n>, n counting the task's songs from 1."
            )
        number = match["n"] or "1"
        if not number.isdecimal():
            return number
        _, result = await self._find_result(ref, match["task"], number)
        if not result.id:
            raise InvalidCall(f"{ref} is no song of Suno's.", "Refer to a task of suno_music or suno_extend.")
        return result.id

    async def _find_result(self, ref: Ref, task_id: str, number: str) -> tuple[Task, Result]:
        """Return a succeeded task and its result with this number; raise `InvalidCall` if one cannot be used."""
        shown = abbreviate(ref)
        task = await self._ledger.find(task_id)
        if not task:
            raise InvalidCall(f"{shown}: there is no task {task_id[:100]}.", "list_tasks shows the tasks there are.")
        if task.state != "succeeded":
            raise InvalidCall(f"{shown}: the task is {task.state}.", "Ask get_task until it has succeeded.")
        place = parse_result_number(number)
        if place is None or not 1 <= place <= len(task.results):
            raise InvalidCall(f"{shown}: the task has {len(task.results)} results.", "Count them from 1.")
        result = task.results[place - 1]
        if isinstance(ref, MediaRef) and result.is_damaged:
            raise InvalidCall(
                f"{shown}: KIE sent no whole file for it ({result.mime_type}).", "get_task asks for it again."
            )
        if isinstance(ref, MediaRef) and not result.is_media:
            raise InvalidCall(f"{shown} is {result.mime_type}, and no picture, clip or sound.", "Take another result.")
        if isinstance(ref, MediaRef):
            check_kind(result.mime_type or guess_mime_type(result.url), ref)
        return task, result

    @asynccontextmanager
    async def _open_result(self, result: Result) -> AsyncIterator[Content | None]:
        """Open the saved file of a result; yield None if the file is gone but the result still has a URL.

        Raises:
            InvalidCall: When the file is gone, and the result has no URL.
        """
        async with self._storage.open_if_there(result) as file:
            if not file and not result.link:
                await self._storage.open_in_thread(result)
            yield identify_file(file, Path(result.path).name) if file else None

    def _match_result(self, ref: str) -> re.Match[str] | None:
        """Match a reference to a result: `task:<id>#<n>`, or the URL of a result in the bucket; None for others."""
        return RESULT.fullmatch(self._storage.find_reference(ref))

    @contextmanager
    def _open(self, ref: str) -> Iterator[Content]:
        """Open a data URI, or a local file in the allowed folders."""
        if ref.startswith("data:"):
            yield decode_data_uri(ref)
            return
        with self._uploader.folders.open(ref) as content:
            yield content


def _check_number(ref: Ref, task: Task | None) -> None:
    """Raise `InvalidCall` if a reference to a task has the number of a result that KIE would not get, or there is not.

    A field that takes a whole task takes the number 1 as well, as answers write it for a task with one result.
    """
    number = name_task(ref).partition("#")[2]
    if not number or (task and task.is_batch):
        return
    place = parse_result_number(number) or 0
    has_index = isinstance(ref, ResultRef)
    if has_index and task and task.results and not 1 <= place <= len(task.results):
        raise InvalidCall(f"{abbreviate(ref)}: the task has {len(task.results)} results.", "Count them from 1.")
    if not has_index and place != 1:
        raise InvalidCall(
            f"{abbreviate(ref)}: the whole task is taken here, and no single result of it.",
            f"Nothing was sent. Give the task alone: {parse_task_id(ref)}.",
        )


def _is_local(ref: Ref) -> TypeGuard[MediaRef]:
    """Return whether a reference is a local file or a data URI."""
    elsewhere = ref.startswith(("https://", "http://", "kie://")) or RESULT.fullmatch(ref)
    return isinstance(ref, MediaRef) and not elsewhere


def _measure_content(content: Content) -> float | None:
    # This import takes 4 ms, and only calls with files need it.
    from kie_mcp.media.lengths import measure_seconds

    return 0 if content.mime_type.startswith("image/") else measure_seconds(content.file, content.mime_type)
