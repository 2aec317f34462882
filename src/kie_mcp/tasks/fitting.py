"""Check local files before an upload, and convert them so that they fit the limits of a model's field.

The modules that read and convert files take 15 ms to import. They are imported inside functions, so that a call
without files does not wait for them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING

import anyio.to_thread

from kie_mcp.catalog.fields import Limits, MediaRef, Ref
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.tasks.media_inputs import abbreviate

if TYPE_CHECKING:
    from kie_mcp.media.fit import Fitted

KINDS = {"image": "a picture", "video": "a clip", "audio": "a sound"}
"""The name of each medium in error messages."""


@asynccontextmanager
async def fit_file(content: Content, limits: Limits, name: str, *, keep_metadata: bool) -> AsyncIterator["Fitted"]:
    """Convert a file so that it fits a model's limits, as far as possible, and remove its metadata.

    Args:
        content: The file to convert.
        limits: The limits of the model's field that takes the file.
        name: The file's name for error messages.
        keep_metadata: True to keep metadata, such as the location, in the file.

    Yields:
        The converted file; it is closed and deleted when the `with` block ends.

    Raises:
        InvalidCall: The file is broken.
    """
    from kie_mcp.media import clips, fit

    if not content.mime_type.startswith("image/"):
        await _check_whole(content, name)
    async with AsyncExitStack() as stack:
        try:
            if content.mime_type.startswith("image/"):
                convert = partial(fit.fit_picture, content, limits, keep_metadata=keep_metadata)
                fitted = await anyio.to_thread.run_sync(convert)
            elif content.mime_type == "audio/midi":
                fitted = fit.Fitted(content)
            else:
                clip = clips.fit_clip(content, limits, keep_metadata=keep_metadata)
                fitted = await stack.enter_async_context(clip)
        except ValueError as error:
            raise _refuse_broken_file(content, name, str(error)) from None
        yield fitted


async def check_file(content: Content, ref: MediaRef, *, keep_metadata: bool) -> None:
    """Check, before a file is converted and uploaded, that it will fit a field of a model.

    For this check, only pictures are really converted.

    Args:
        content: The file to check.
        ref: The path or URL in the model's field, with the limits of this field.
        keep_metadata: True to keep metadata, such as the location, in the file.

    Raises:
        InvalidCall: The file is of the wrong kind, is broken, or will exceed the field's limits.
    """
    from kie_mcp.media import clips, ffmpeg

    check_kind(content.mime_type, ref)
    if content.mime_type.startswith("image/"):
        async with fit_file(content, ref.limits, ref, keep_metadata=keep_metadata) as fitted:
            await check_limits(fitted.content, ref.limits, ref)
        return
    await _check_whole(content, ref)
    target = clips.choose_type(content.mime_type, ref.limits) if ffmpeg.find_ffmpeg() else content.mime_type
    # A file that will be converted has no known size yet, so its size is not checked here.
    limits = ref.limits if target == content.mime_type else replace(ref.limits, mb=None)
    await check_limits(replace(content, mime_type=target), limits, ref)


def describe_changes(content: Content, fitted: "Fitted") -> str:
    """Return a text that says how a file was converted; the text may be empty.

    If the caller gave only the file's name, the text also says where the file was found.
    """
    return "; ".join(filter(None, (content.found_at and f"taken from {content.found_at}", fitted.done)))


def check_kind(mime_type: str, ref: MediaRef) -> None:
    """Check that a picture, clip or sound is of the kind that a field takes; other MIME types are not checked.

    Raises:
        InvalidCall: The file is of another kind, such as a sound in a field for pictures.
    """
    given = mime_type.partition("/")[0]
    named = ref.limits.formats.split()
    # A field for pictures also accepts clips if its list of formats contains a video format, such as mp4; if the list
    # contains no other formats, the field accepts a single clip in place of several pictures.
    clips = [each for each in named if ref.medium == "image" and f"video/{each}" in formats.EXTENSIONS]
    accepted = {"video"} if clips and clips == named else {ref.medium, "video"} if clips else {ref.medium}
    if ref.medium == "file":
        return
    if mime_type == "audio/midi" and "audio" in accepted and "midi" not in named:
        raise InvalidCall(
            f"{abbreviate(ref)} has notes (MIDI), and no sound; this field takes a sound.",
            "Nothing was sent. Make an MP3 or WAV of the notes first.",
        )
    if given in KINDS and given not in accepted:
        wanted = KINDS[ref.medium] if ref.medium in accepted else "several pictures, or one clip"
        raise InvalidCall(
            f"{abbreviate(ref)} is {KINDS[given]}; this field takes {wanted}.", "Nothing was sent. Take another file."
        )


async def check_limits(content: Content, limits: Limits, name: str) -> None:
    """Check that a file, which is already converted if necessary, is within the limits of a model's field.

    Raises:
        InvalidCall: The file exceeds the limits.
    """
    from kie_mcp.media.limits import find_problems

    if found := await anyio.to_thread.run_sync(find_problems, content, limits):
        raise InvalidCall(
            f"{abbreviate(name)} {'. It '.join(found)}.", "Nothing was sent. Convert the file or take another."
        )


def check_total_lengths(refs: Sequence[Ref], lengths: Mapping[str, float]) -> None:
    """Check that the files of each field together are within the model's limit for their total length.

    Args:
        refs: The files and earlier tasks that a call names, as often as it names them.
        lengths: The length in seconds of each file that was measured; other files do not count.

    Raises:
        InvalidCall: The files of a field are too long together.
    """
    totals: dict[tuple[str, float], float] = {}
    for ref in refs:
        if isinstance(ref, MediaRef) and ref.limits.total_seconds:
            field = (ref.medium, ref.limits.total_seconds)
            totals[field] = totals.get(field, 0) + lengths.get(ref, 0)
    for (medium, most), seconds in totals.items():
        if seconds > most:
            raise InvalidCall(
                f"The {medium} files have {round(seconds, 2):g} s in all; the model takes up to {most:g} s.",
                "Nothing was sent. Shorten them or give fewer.",
            )


def check_same_size(sizes: Mapping[Ref, tuple[int, int] | None]) -> None:
    """Check that pictures which a model takes only in one size, such as a picture and its mask, have the same size.

    Args:
        sizes: The width and height of each picture in pixels; None if unknown, and then the picture is not checked.

    Raises:
        InvalidCall: The sizes differ.
    """
    known = {f"{abbreviate(ref)} has {size[0]}x{size[1]}": size for ref, size in sizes.items() if size}
    if len(set(known.values())) > 1:
        raise InvalidCall(
            f"The picture and its mask must have the same pixels: {', '.join(known)}.",
            "Nothing was sent. Give both in one size.",
        )


async def _check_whole(content: Content, name: str) -> None:
    """Raise an error if a clip or sound is damaged; pictures are checked by `fit_picture()`."""
    from kie_mcp.media.integrity import find_damage

    damage = await anyio.to_thread.run_sync(find_damage, content.file, content.mime_type)
    content.file.seek(0)
    if damage:
        raise _refuse_broken_file(content, name, damage)


def _refuse_broken_file(content: Content, name: str, what: str) -> InvalidCall:
    # If the file is in memory, the caller gave it as text in the arguments of the tool call. Clients may cut long
    # arguments.
    was_text = isinstance(content.file, BytesIO)
    advice = "Hosts cut long arguments: give the file's path or URL." if was_text else "Take another file."
    return InvalidCall(f"{abbreviate(name)} {what}.", f"Nothing was sent. {advice}")
