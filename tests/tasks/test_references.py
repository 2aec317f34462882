import os
import resource
from base64 import b64encode
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from support.clock import JumpingClock
from support.errors import raises
from support.media_files import midi, picture, sound, timed_clip

from kie_mcp.catalog.fields import AnyFile, Audio, Image, Limits, MediaRef, Ref, ResultRef, TaskRef, Track, Video
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.vendors.suno import PersonaId
from kie_mcp.errors import ApiError, InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.files import UPLOAD_LIFETIME
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Result, Task
from kie_mcp.media import formats
from kie_mcp.media.midi import build_midi_file
from kie_mcp.media.pictures import measure_picture
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.references import References
from kie_mcp.tasks.storage import FolderStorage
from kie_mcp.tasks.stray_references import refuse_stray_references
from kie_mcp.tasks.uploads import Uploader

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data")
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The only folder that may be read."""
    made = tmp_path / "Bilder – 写真"
    made.mkdir()
    return made


@pytest.fixture
def uploader(kie: KieClient, ledger: Ledger, folder: Path, clock: JumpingClock) -> Uploader:
    return Uploader(kie, ledger, folders=AllowedFolders([folder]), clock=clock, guarded=False)


@pytest.fixture
def references(uploader: Uploader, ledger: Ledger, clock: JumpingClock, folder: Path) -> References:
    return References(uploader, ledger, clock, FolderStorage(folder))


def data_uri(content: bytes) -> str:
    return f"data:;base64,{b64encode(content).decode()}"


def limited(ref: MediaRef, limits: Limits) -> MediaRef:
    ref.limits = limits
    return ref


def uploads(sandbox: Sandbox) -> list[bytes]:
    """What reached KIE."""
    return [place.read_bytes() for place in sandbox._files._uploads.glob("*")]


async def fetched(kie: KieClient, url: str) -> bytes:
    return (await kie.http.get(url)).raise_for_status().content


async def refusal(references: References, *refs: Ref) -> str:
    with raises(InvalidCall, refs) as caught:
        await references.identify(refs)
    return caught.value.message


@pytest.mark.parametrize("url", ["https://a.example/x.png", "http://a.example/x?y=1#z", "https://a.example/ü.png"])
async def test_a_web_address_goes_out_as_it_is(references: References, sandbox: Sandbox, url: str) -> None:
    assert list((await references.resolve([Image(url)])).values()) == [url]
    assert not uploads(sandbox)


@pytest.mark.parametrize("url", ["https://", "https:///x.png", "https://[::1", "https://a.example/a.png b"])
async def test_what_is_no_web_address_is_refused(references: References, url: str) -> None:
    assert "is no web address" in await refusal(references, Image(url))


@pytest.mark.parametrize(
    "form", ["{path}", "{name}", "./{name}", "~/{name}", "file://{path}", "file://{quoted}", "../{folder}/{name}"]
)
async def test_a_local_file_is_uploaded_however_its_path_is_written(
    references: References, kie: KieClient, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    path = folder / "ein Bild.png"
    path.write_bytes(content := picture())
    ref = Image(form.format(path=path, name=path.name, folder=folder.name, quoted=quote(str(path))))
    url = (await references.resolve([ref]))[ref.key]
    assert url.startswith("https://")
    assert await fetched(kie, url) == content


async def test_a_data_uri_is_uploaded(references: References, kie: KieClient) -> None:
    content = picture()
    plain = Image(f"data:image/png,{quote(content)}")
    wrapped = Image(data_uri(content)[:60] + "\r\n  " + data_uri(content)[60:])
    urls = await references.resolve([plain, wrapped])
    assert [await fetched(kie, url) for url in urls.values()] == [content, content]


async def test_the_wrong_extension_is_put_right(references: References, folder: Path) -> None:
    """KIE believes names."""
    (folder / "photo.png").write_bytes(picture(image_format="WEBP"))
    (folder / "ohne Endung (2)").write_bytes(picture())
    urls = await references.resolve([Image(str(folder / "photo.png")), Image(str(folder / "ohne Endung (2)"))])
    names = [unquote(url).rpartition("/")[2] for url in urls.values()]
    assert [name.rpartition(".")[2] for name in names] == ["webp", "png"]
    assert [name.rpartition("-")[0] for name in names] == ["photo", "ohne-Endung-2"]


async def test_files_of_one_name_do_not_overwrite_each_other(
    references: References, kie: KieClient, folder: Path
) -> None:
    """KIE overwrites what has the same name."""
    contents = [picture(width=width) for width in (10, 20, 30, 40)]
    refs: list[Image] = [Image(data_uri(contents[0])), Image(data_uri(contents[1]))]
    for number in (2, 3):
        (folder / str(number)).mkdir()
        (folder / str(number) / "file.png").write_bytes(contents[number])
        refs.append(Image(str(folder / str(number) / "file.png")))
    urls = await references.resolve(refs)
    assert [await fetched(kie, urls[ref.key]) for ref in refs] == contents


async def test_the_same_content_is_uploaded_once_while_it_lives(
    references: References, sandbox: Sandbox, folder: Path, clock: JumpingClock
) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(picture())
    refs = [Image(str(folder / "a.png")), Image(str(folder / "b.png")), Image(data_uri(picture()))]
    first = await references.resolve(refs)
    assert len(set(first.values())) == len(uploads(sandbox)) == 1
    clock.now += UPLOAD_LIFETIME
    again = await references.resolve(refs[:1])
    assert len(uploads(sandbox)) == 2
    assert again[refs[0].key] not in first.values()


async def test_an_upload_that_failed_is_not_remembered(
    references: References, sandbox: Sandbox, kie: KieClient
) -> None:
    ref = Image(data_uri(picture()))
    sandbox.inject_fault("upload", 500)
    with pytest.raises(ApiError):
        await references.resolve([ref])
    assert await fetched(kie, (await references.resolve([ref]))[ref.key]) == picture()


async def test_a_link_out_of_the_allowed_folders_is_refused(
    references: References, folder: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    (tmp_path / "private.png").write_bytes(picture())
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    (folder / "linked").symlink_to(tmp_path)
    for path in (folder / "link.png", folder / "linked" / "private.png", folder / ".." / "private.png"):
        assert "outside the folders" in await refusal(references, Image(str(path)))
    assert not uploads(sandbox)


async def test_a_file_that_cannot_be_opened_is_told(references: References, folder: Path) -> None:
    (folder / "a.png").write_bytes(picture())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        message = await refusal(references, Image(str(folder / "a.png")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert message == "a.png cannot be read: Too many open files."


async def test_a_link_inside_the_allowed_folders_is_followed(references: References, folder: Path) -> None:
    (folder / "real.png").write_bytes(picture())
    (folder / "link.png").symlink_to("real.png")
    assert await references.resolve([Image(str(folder / "link.png"))])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_text("geheim"), "is no picture, clip or sound"),
        (lambda path: path.write_text("geheim", encoding="utf-16"), "is no picture, clip or sound"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.mkdir(), "is no file"),
        (os.mkfifo, "is no file"),
        (lambda path: path.symlink_to(path), "There is no file"),
        (lambda _: None, "There is no file"),
    ],
)
async def test_what_is_no_media_file_is_not_sent(
    references: References, folder: Path, sandbox: Sandbox, make: Any, reason: str
) -> None:
    make(folder / "a.png")
    assert reason in await refusal(references, Image(str(folder / "a.png")))
    assert not uploads(sandbox)


@pytest.mark.parametrize("path", ["a\0b.png", "~nobody-of-that-name/a.png", "x." * 2500, "kie://elsewhere", "task:"])
async def test_an_impossible_path_is_answered_shortly(references: References, path: str) -> None:
    message = await refusal(references, Image(path))
    assert message.startswith("There is no file ")
    assert len(message) < 120


async def test_without_folders_no_local_file_is_read(
    kie: KieClient, ledger: Ledger, folder: Path, tmp_path: Path
) -> None:
    """Over HTTP a path would mean the server's disk, not the caller's."""
    (folder / "a.png").write_bytes(picture())
    uploader = Uploader(kie, ledger, folders=AllowedFolders(), clock=kie.clock, guarded=False)
    far = References(uploader, ledger, kie.clock, FolderStorage(folder))
    assert "reads no local files" in await refusal(far, Image(str(folder / "a.png")))
    # Nor does a text tell by being refused that it is the path of a file there.
    (tmp_path / "a.png").write_bytes(picture())
    for name in ("a.png", "missing.png"):
        with pytest.raises(InvalidCall):
            refuse_stray_references({"prompt": str(tmp_path / name)}, AllowedFolders([]))
    assert await far.resolve([Image(data_uri(picture()))])


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (data_uri(picture())[:-3], "ends inside a character after 89 characters"),
        (data_uri(picture())[:-8], "breaks off"),
        ("data:image/png;base64,@@@@", "is not base64: character 1 is '@'"),
        ("data:image/png;base64", "has no comma"),
        ("data:image/png;base64,", "is no picture"),
        ("data:text/plain,hello", "is no picture"),
    ],
)
async def test_a_data_uri_that_was_cut_is_explained(references: References, uri: str, reason: str) -> None:
    assert reason in await refusal(references, Image(uri))


@pytest.mark.parametrize(
    ("ref", "limits", "reason"),
    [
        (Image(data_uri(sound(1))), Limits("jpeg png"), "is a sound; this field takes a picture"),
        (Audio(data_uri(picture())), Limits("mpeg wav"), "is a picture; this field takes a sound"),
        (Image(data_uri(picture()[:60])), Limits("jpeg png"), "breaks off"),
        (
            Image(data_uri(picture(299, 400))),
            Limits(side_px=(300, 6000)),
            "has a shorter side of 299 px; the model takes 300 to 6,000 px",
        ),
        (Audio(data_uri(sound(1))), Limits(mb=0.001), "has 0.0 MB; the model takes up to 0.001 MB"),
        (Audio(data_uri(sound(1))), Limits("wav", seconds=(2, 15)), "has a length of 1 s; the model takes 2 to 15 s"),
    ],
)
async def test_a_file_beyond_the_limits_is_refused_before_anything_is_sent(
    references: References, sandbox: Sandbox, ref: MediaRef, limits: Limits, reason: str
) -> None:
    message = await refusal(references, Image(data_uri(picture())), limited(ref, limits))
    assert reason in message
    assert len(message) < 200
    assert not uploads(sandbox)


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_files_that_are_too_long_together_are_refused(references: References, count: int) -> None:
    """A file that is given twice counts twice; a link has no known length, and a clip is of another field."""
    long = limited(Audio(data_uri(sound(7))), Limits("wav", total_seconds=15))
    far = limited(Audio("https://a.example/a.wav"), Limits("wav", total_seconds=15))
    clip = limited(Video(data_uri(timed_clip(14))), Limits("mp4", total_seconds=15))
    refs = [*[long] * count, far, clip]
    if count < 3:
        assert (await references.measure(refs))[long] == 7
        return
    with pytest.raises(InvalidCall, match="The audio files have 21 s in all; the model takes up to 15 s"):
        await references.measure(refs)


@pytest.mark.parametrize(("mask", "refused"), [((300, 200), True), ((600, 400), False)])
@pytest.mark.parametrize(
    ("model", "more"), [("ideogram/v3-edit", {}), ("ideogram/character-edit", {"character": "https://a.example/c.png"})]
)
async def test_a_mask_that_is_not_as_large_as_its_picture_is_refused(
    references: References, mask: tuple[int, int], refused: bool, model: str, more: dict[str, Any]
) -> None:
    given = {"prompt": "a hat", "image": data_uri(picture(600, 400)), "mask": data_uri(picture(*mask)), **more}
    refs = MODELS[model].model_validate(given).references()
    if not refused:
        assert await references.measure(refs)
        return
    with pytest.raises(InvalidCall, match=r"must have the same pixels.* has 600x400, .* has 300x200"):
        await references.measure(refs)


async def test_a_clip_for_the_orientation_of_a_picture_is_10_s_long_at_most(references: References) -> None:
    given = {"image": "https://a.example/a.png", "video": data_uri(timed_clip(20))}
    model = MODELS["kling-2.6/motion-control"]
    assert await references.identify(model.model_validate(given).references())
    short = model.model_validate(given | {"orientation": "image"})
    assert "has a length of 20 s; the model takes 3 to 10 s" in await refusal(references, *short.references())


async def test_each_field_gets_the_file_as_its_own_limits_want_it(
    references: References, kie: KieClient, folder: Path
) -> None:
    (folder / "a.png").write_bytes(picture(640, 300))
    path = str(folder / "a.png")
    frame, example = (limited(Image(path), Limits(side_px=(1, most))) for most in (640, 320))
    urls = await references.resolve([frame, example, frame])
    widths = [measure_picture(BytesIO(await fetched(kie, urls[each.key])))[0] for each in (frame, example)]
    assert widths == [640, 320]


async def test_only_what_this_call_changed_is_told(references: References, kie: KieClient, folder: Path) -> None:
    place = folder / "a.webp"
    place.write_bytes(picture(image_format="WEBP"))
    converted, kept = (limited(Image(str(place)), Limits(formats)) for formats in ("jpeg", "jpeg webp"))
    urls = await references.resolve([converted, kept])
    assert references.explain_changes([converted, kept]).endswith("a.webp: WEBP made a JPEG, 40x30.")
    assert references.explain_changes([kept]) == ""
    # The file is replaced by what was made of it.
    place.write_bytes(await fetched(kie, urls[converted.key]))
    await references.resolve([converted])
    assert references.explain_changes([converted]) == ""


async def test_an_address_with_a_refused_extension_stops_the_call_before_uploads(
    references: References, sandbox: Sandbox
) -> None:
    local = Image(data_uri(picture()))
    far = limited(Image("https://a.example/clip.GIF?x=.png"), Limits("jpeg png"))
    assert "is gif; the model takes jpeg, png" in await refusal(references, local, far)
    for name in ("a.pdf", "a.SVG?x=.png", "page.html#a.png"):
        assert "; the model takes jpeg, png" in await refusal(
            references, limited(Image(f"https://a.example/{name}"), Limits("jpeg png"))
        )
    assert not uploads(sandbox)
    for url in (
        "https://a.example/a.JPG",
        "https://a.example/a.webp",
        "https://a.example/a.svgz",
        "https://a.example/a",
    ):
        assert await references.resolve([limited(Image(url), Limits("jpeg png"))])


@pytest.fixture
async def made(ledger: Ledger, clock: JumpingClock, tmp_path: Path) -> None:
    """A finished task: a song, a song that lost its file, and notes that have no link."""
    saved = [tmp_path / "1.mp3", tmp_path / "2.mp3", tmp_path / "3.mid"]
    saved[0].write_bytes(render_file("1.mp3", MediaContent("x", "x")))
    saved[2].write_bytes(build_midi_file("[]"))
    urls = "https://kie.example/1.mp3", "https://kie.example/2.mp3", ""
    results = [
        Result(url, str(path), id=f"song-{n}" if url else "")
        for n, (url, path) in enumerate(zip(urls, saved, strict=True), start=1)
    ]
    task = Task("t_1", "suno_music", "m", "audio", "suno", {}, clock.time(), "succeeded", "5f0c", results=results)
    await ledger.add(task)
    await ledger.add(Task("t_2", "suno_music", "m", "audio", "suno", {}, clock.time(), "running", "77"))
    for id_, text in (("t_persona", "persona_1"), ("t_voice", '{"voiceId": "voice_1"}'), ("t_empty", "")):
        model = "ai-music-api/create-voice" if id_ == "t_voice" else "ai-music-api/generate-persona"
        made = Task(id_, "tool", model, "text", "jobs", {}, clock.time(), "succeeded", id_[2:], texts=[text])
        await ledger.add(made)
    await ledger.add(Task("t_3", "tool", PersonaId.makers[0], "text", "jobs", {}, clock.time(), "running", "78"))


REFERRED: list[tuple[Ref, str]] = [
    (Audio("task:t_1"), "https://kie.example/1.mp3"),
    (Audio("task:t_1#2"), "https://kie.example/2.mp3"),
    (Audio("task:5f0c#1"), "https://kie.example/1.mp3"),
    (Track("task:t_1"), "song-1"),
    (Track("task:t_1#2"), "song-2"),
    (Track("task:5f0c#2"), "song-2"),
    (Track("task:elsewhere#e231-a9"), "e231-a9"),
    (TaskRef("t_1"), "5f0c"),
    (TaskRef("task:t_1#1"), "5f0c"),
    (ResultRef("task:t_1#2"), "5f0c"),
    (ResultRef("task:made-elsewhere#2"), "made-elsewhere"),
    (TaskRef("5f0c"), "5f0c"),
    (TaskRef("task:made-elsewhere"), "made-elsewhere"),
    (Track("task:t_1#2").task, "5f0c"),
    (PersonaId("t_persona"), "persona_1"),
    (PersonaId("kie://tasks/t_persona"), "persona_1"),
    (PersonaId("task:t_voice#1"), "voice_1"),
    (PersonaId("e231-a9"), "e231-a9"),
]


@pytest.mark.usefixtures("made")
async def test_earlier_tasks_are_referred_to(references: References) -> None:
    for ref, expected in REFERRED:
        assert list((await references.resolve([ref])).values()) == [expected], ref


async def test_a_saved_result_is_made_to_fit_as_a_local_file_is(
    references: References, ledger: Ledger, kie: KieClient, clock: JumpingClock, tmp_path: Path
) -> None:
    url, path = "https://kie.example/1.webp", tmp_path / "1.webp"
    path.write_bytes(picture(image_format="WEBP"))
    results = [Result(url, str(path), "image/webp")]
    await ledger.add(
        Task("t_3", "flux2_image", "m", "image", "jobs", {}, clock.time(), "succeeded", "33", results=results)
    )
    as_it_is, converted = Image("task:t_3"), limited(Image("task:t_3#1"), Limits("jpeg png"))
    assert list((await references.resolve([as_it_is])).values()) == [url]
    assert references.explain_changes([as_it_is]) == ""
    sent = (await references.resolve([converted]))[converted.key]
    assert formats.detect_mime_type(await fetched(kie, sent)) == "image/jpeg"
    assert references.explain_changes([converted]) == "task:t_3#1: WEBP made a JPEG, 40x30."
    assert set((await references.identify([as_it_is, converted])).values()) == {"t_3#0"}


NOT_MADE: list[tuple[Ref, str]] = [
    (Audio("task:t_9"), "there is no task t_9"),
    (Audio("task:t_2"), "the task is running"),
    (Audio("task:t_1#0"), "has 3 results"),
    (Audio("task:t_1#4"), "has 3 results"),
    (Audio("task:t_1#²"), "has 3 results"),
    (Audio("task:t_1#last"), "has 3 results"),
    (Track("task:t_1#3"), "is no song of Suno's"),
    (Track("e231-a9"), "is no song"),
    (Audio("kie://uploads/u_9"), "is not there any more"),
    (Image("task:t_1"), "task:t_1 is a sound; this field takes a picture"),
    (Image("task:t_1#2"), "is a sound; this field takes a picture"),
    (Video("task:t_1#3"), "is a sound; this field takes a clip"),
    (limited(Audio("task:t_1"), Limits("mpeg", seconds=(10, 30))), "has a length of 3"),
    (limited(Audio("task:t_1#3"), Limits("mpeg wav")), "has notes (MIDI), and no sound"),
    (Audio("task:t_1#3"), "has notes (MIDI), and no sound"),
    (Audio(data_uri(midi())), "has notes (MIDI), and no sound"),
    (Video("https://a.example/a.jpg"), "is a picture; this field takes a clip"),
    (Image("https://a.example/a.mp3?x=.png"), "is a sound; this field takes a picture"),
    (Audio("https://a.example/a.mp4#t=1"), "is a clip; this field takes a sound"),
    (TaskRef("task:t_1#2"), "the whole task is taken here, and no single result"),
    (TaskRef("t_1#song-2"), "the whole task is taken here"),
    (TaskRef("task:made-elsewhere#2"), "the whole task is taken here"),
    (ResultRef("task:t_1#4"), "has 3 results"),
    (ResultRef("t_1#last"), "has 3 results"),
    (PersonaId("t_9"), "there is no such task"),
    (PersonaId("task:t_1"), "a task of m makes no id that is wanted here"),
    (PersonaId("5f0c"), "a task of m makes no id that is wanted here"),
    (PersonaId("t_3"), "the task is running"),
    (PersonaId("t_empty"), "the task's text shows no id"),
]


@pytest.mark.usefixtures("made")
async def test_what_was_not_made_is_not_referred_to(references: References) -> None:
    for ref, reason in NOT_MADE:
        assert reason in await refusal(references, ref), ref


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Result("https://kie.example/1.png", mime_type="text/html"), "KIE sent no whole file for it (text/html)"),
        (Result("https://kie.example/1.png", mime_type="image/png"), "KIE sent no whole file for it (image/png)"),
        (Result("https://kie.example/1.txt", "/out/1.txt", "text/plain"), "is text/plain, and no picture"),
        (Result("https://kie.example/1.png", "/out/1.bin", "text/html"), "is text/html, and no picture"),
    ],
)
async def test_what_is_no_whole_media_file_is_not_handed_on(
    references: References, ledger: Ledger, clock: JumpingClock, result: Result, reason: str
) -> None:
    made = Task("t_1", "x", "m", "image", "jobs", {}, clock.time(), "succeeded", "5f0c", results=[result])
    await ledger.add(made)
    assert reason in await refusal(references, Image("task:t_1#1"))
    # KIE's link itself can be asked for.
    assert await references.find_url("task:t_1#1") == result.url


@pytest.mark.usefixtures("made")
async def test_a_result_whose_link_may_be_dead_is_uploaded_from_disk(
    references: References, kie: KieClient, clock: JumpingClock
) -> None:
    one, two, notes = Audio("task:t_1#1"), Audio("task:t_1#2"), AnyFile("task:t_1#3")
    assert (await fetched(kie, (await references.resolve([notes]))[notes.key])).startswith(b"MThd")
    clock.now += UPLOAD_LIFETIME
    urls = await references.resolve([one, two])
    assert (await fetched(kie, urls[one.key])).startswith(b"ID3")
    # Deleted from the disk: the link is all there is.
    assert urls[two.key] == "https://kie.example/2.mp3"


@pytest.mark.usefixtures("made")
async def test_notes_that_are_gone_are_not_sent(references: References, tmp_path: Path) -> None:
    (tmp_path / "3.mid").unlink()
    assert "is no file" in await refusal(references, AnyFile("task:t_1#3"))


@pytest.mark.usefixtures("made")
async def test_a_result_has_an_address(references: References) -> None:
    assert await references.find_url("task:t_1#2") == "https://kie.example/2.mp3"
    assert await references.find_url("https://a.example/x") == "https://a.example/x"
    with pytest.raises(InvalidCall, match="is no web address"):
        await references.find_url("file:///etc/passwd")
    with pytest.raises(InvalidCall, match=r"task:t_1#3 was made on this machine"):
        await references.find_url("task:t_1#3")


@pytest.mark.usefixtures("made")
async def test_only_a_result_without_an_address_is_uploaded_to_get_one(references: References) -> None:
    assert await references.upload_result("task:t_1#2") is None
    assert await references.upload_result("https://a.example/x") is None
    upload = await references.upload_result("task:t_1#3")
    assert upload
    assert upload.name.endswith(".mid")


async def test_uploads_by_path_base64_and_url_can_be_referred_to(
    uploader: Uploader, references: References, kie: KieClient, folder: Path, clock: JumpingClock
) -> None:
    (folder / "a.png").write_bytes(picture())
    sent = [
        await uploader.upload_path(str(folder / "a.png")),
        await uploader.upload_base64(b64encode(sound(1)).decode(), "../../Stimme.mp3"),
        await uploader.upload_base64(data_uri(picture(50)), ""),
        await uploader.upload_url("https://a.example/bilder/b.jpg?x=1", ""),
        await uploader.upload_url("https://a.example/", "c.exe"),
    ]
    parts = [(each.name.rpartition("-")[0], each.name.rpartition(".")[2]) for each in sent]
    assert parts[:4] == [("a", "png"), ("Stimme", "wav"), ("file", "png"), ("b", "jpg")]
    assert "." not in sent[4].name
    assert [each.size for each in sent[:3]] == [len(picture()), len(sound(1)), len(picture(50))]
    refs = [(Audio if "Stimme" in each.name else Image)(f"kie://uploads/{each.id}") for each in sent]
    urls = await references.resolve(refs)
    assert [urls[ref.key] for ref in refs] == [each.url for each in sent]
    for each in sent:
        assert await fetched(kie, each.url)
    clock.now += UPLOAD_LIFETIME
    assert "is not there any more" in await refusal(references, refs[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b64encode(picture()).decode()[:-3], r"ends inside a character after \d+ characters: it was cut"),
        ("not base64!", "is not base64: character 11 is '!'"),
        (b64encode(b"secret").decode(), "is no picture"),
        (b64encode(sound(0.1) + bytes(10_000_000)).decode(), "at most 10 MB"),
    ],
)
async def test_base64_that_cannot_be_right_is_refused(
    uploader: Uploader, sandbox: Sandbox, text: str, reason: str
) -> None:
    with pytest.raises(InvalidCall, match=reason):
        await uploader.upload_base64(text, "a.png")
    assert not uploads(sandbox)
