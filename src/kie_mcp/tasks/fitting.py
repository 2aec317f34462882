"""Make local files fit the fields that they are given for, before anything is sent."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio.to_thread

from kie_mcp.catalog.fields import Limits, MediaRef
from kie_mcp.errors import InvalidCall
from kie_mcp.media import clips, ffmpeg, fit, formats
from kie_mcp.media.fit import Fitted
from kie_mcp.media.integrity import find_damage
from kie_mcp.media.limits import Content, find_problems
from kie_mcp.tasks.media_inputs import abbreviate

KINDS = {"image": "a picture", "video": "a clip", "audio": "a sound"}
"""Names of the media for a person."""


@asynccontextmanager
async def fit_file(content: Content, limits: Limits, name: str, *, keep_metadata: bool) -> AsyncIterator[Fitted]:
    """Make a file fit a model's limits as far as that is possible, and remove its metadata.

    Args:
        content: The file.
        limits: The limits of the model's field.
        name: The file's name for error messages.
        keep_metadata: Whether metadata, such as the location, may stay in the file.

    Yields:
        The file that fits; it is gone afterwards.

    Raises:
        InvalidCall: When the file is broken.
    """
    if not content.mime_type.startswith("image/"):
        await _check_whole(content, name)
    async with AsyncExitStack() as stack:
        try:
            if content.mime_type.startswith("image/"):
                convert = partial(fit.fit_picture, content, limits, keep_metadata=keep_metadata)
                fitted = await anyio.to_thread.run_sync(convert)
            elif content.mime_type == "audio/midi":
                fitted = Fitted(content)
            else:
                clip = clips.fit_clip(content, limits, keep_metadata=keep_metadata)
                fitted = await stack.enter_async_context(clip)
        except ValueError as error:
            raise _refuse_broken_file(name, str(error)) from None
        yield fitted


async def check_file(content: Content, ref: MediaRef, *, keep_metadata: bool) -> None:
    """Check that a file will fit the field that it is given for; clips are not converted for that.

    Raises:
        InvalidCall: When it is a file of the wrong kind, is broken, or will be beyond the field's limits.
    """
    check_kind(content.mime_type, ref)
    if content.mime_type.startswith("image/"):
        async with fit_file(content, ref.limits, ref, keep_metadata=keep_metadata) as fitted:
            await check_limits(fitted.content, ref.limits, ref)
        return
    await _check_whole(content, ref)
    target = clips.choose_type(content.mime_type, ref.limits) if ffmpeg.find_ffmpeg() else content.mime_type
    # Nobody knows yet how large the converted file will be.
    limits = ref.limits if target == content.mime_type else replace(ref.limits, mb=None)
    await check_limits(replace(content, mime_type=target), limits, ref)


def check_kind(mime_type: str, ref: MediaRef) -> None:
    """Check that a file is of the kind that a field takes; a type that is no picture, clip or sound tells nothing.

    Raises:
        InvalidCall: When it is of another kind.
    """
    given = mime_type.partition("/")[0]
    named = ref.limits.formats.split()
    # Some fields for pictures take clips as well; KIE names their formats together.
    takes_clips = ref.medium == "image" and any(f"video/{each}" in formats.EXTENSIONS for each in named)
    accepted = {ref.medium, "video"} if takes_clips else {ref.medium}
    if ref.medium == "file":
        return
    if given in KINDS and given not in accepted:
        raise InvalidCall(
            f"{abbreviate(ref)} is {KINDS[given]}; this field takes {KINDS[ref.medium]}.",
            "Nothing was sent. Take another file.",
        )


async def check_limits(content: Content, limits: Limits, name: str) -> None:
    """Check a file that is ready to be sent.

    Raises:
        InvalidCall: When the file is beyond the limits.
    """
    if found := await anyio.to_thread.run_sync(find_problems, content, limits):
        raise InvalidCall(
            f"{abbreviate(name)} {'; '.join(found)}.", "Nothing was sent. Convert the file or take another."
        )


async def _check_whole(content: Content, name: str) -> None:
    """Check a clip or sound by its container; a picture is checked when it is made to fit."""
    damage = await anyio.to_thread.run_sync(find_damage, content.file, content.mime_type)
    content.file.seek(0)
    if damage:
        raise _refuse_broken_file(name, damage)


def _refuse_broken_file(name: str, what: str) -> InvalidCall:
    return InvalidCall(f"{abbreviate(name)} {what}.", "Nothing was sent. Take another file.")
