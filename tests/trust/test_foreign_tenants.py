"""What a tenant of a server over HTTP may try to see or change of another one."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import httpx2
import pytest
from mcp.client.extension import advertise
from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference
from support.answers import answer
from support.clock import JumpingClock
from support.effort import Effort
from support.example_calls import GIVEN
from support.task_requests import request_task
from support.tenants import CALLERS, connect, list_calls, serve_tenants, visit

from kie_mcp.config import Settings
from kie_mcp.library_page.changes import PAGE_HEADER
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.accounts.tenants import Tenants
from kie_mcp.server.app import App
from kie_mcp.server.extensions.gallery import GALLERY_TASK
from kie_mcp.server.extensions.tasks import EXTENSION_ID
from kie_mcp.server.selection import load_tool_list

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]

WORD = "velociraptor"
PICTURE = render_file("fox.png", MediaContent("a fox", "1"))
TOOLS = [*load_tool_list()["tools"], GALLERY_TASK.model_dump(by_alias=True, mode="json")]


@dataclass
class Anns:
    """What Ann has: each is a text that nobody else may get to see."""

    task: str
    kie_id: str
    batch: str
    upload: str
    confirm: str
    link: str
    upload_url: str

    def list_ids(self) -> list[str]:
        """Return what somebody else might give as an id."""
        return [self.task, self.kie_id, self.batch, self.confirm]

    def list_files(self) -> list[str]:
        """Return what somebody else might give as a file."""
        return [f"task:{self.task}#1", f"kie://uploads/{self.upload}"]

    def find_in(self, text: str, given: str) -> list[str]:
        """Return what is in a text of a server and was not given to it."""
        secrets = [WORD, self.task, self.kie_id, self.batch, self.upload, self.confirm, self.upload_url]
        return [each for each in secrets if each in text and each not in given]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"confirm_above": 200, "wait_seconds": 5})


@pytest.fixture
async def url(settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock) -> AsyncIterator[str]:
    async with serve_tenants(settings, transport, clock) as address:
        yield address


async def make_things(url: str, sandbox: Sandbox) -> Anns:
    """Let Ann make a picture and a batch, send a file, and be asked for her word."""
    async with connect(url, "ann") as ann, visit(url, "ann") as http:
        made = answer(await ann.call_tool("z_image", {"prompt": f"a {WORD}"}))
        batch = {"prompts": [f"two {WORD}s"], "model": "z-image", "max_credits": 50}
        batched = answer(await ann.call_tool("make_batch", batch))
        await ann.call_tool("get_task", {"task_ids": batched["task_id"], "wait_seconds": 60})
        costly = await ann.call_tool("veo_video", {"prompt": WORD, "model": "veo3"})
        sent = await http.post(f"/uploads?name={WORD}.png", content=PICTURE)
        link = (await http.get(f"/library/api/selection?tasks={made['task_id']}")).json()["zip"]
    confirm = re.search(r"c_\w+", str(costly.content))
    assert confirm
    upload = sent.json()["resource"].rpartition("/")[2]
    return Anns(
        made["task_id"], sandbox.accepted[0].id, batched["task_id"], upload, confirm[0], link, sent.json()["url"]
    )


TEXTS = {"prompt", "negative_prompt", "title", "style", "lyrics", "description", "name", "language", "voice", "author"}
"""Arguments of models that are only texts; a call with nothing else would make a picture with these words."""


def is_family(tool: Any) -> bool:
    """Return whether a tool is that of a family of models."""
    return tool["name"] not in load_tool_list()["utilities"] and tool["name"] != GALLERY_TASK.name


def without_texts(tool: Any) -> Any:
    """Return a tool that takes files, ids and numbers only, besides what it needs."""
    schema = tool["inputSchema"]
    needed = schema.get("required", ())
    kept = {name: each for name, each in schema["properties"].items() if name in needed or name not in TEXTS}
    return {**tool, "inputSchema": {**schema, "properties": kept}}


async def read_rows(settings: Settings, tenant: str) -> Any:
    """Return the rows of a tenant, as another process sees them."""
    app = App(settings)
    tenants = Tenants(app)
    async with tenants.run(), tenants.use(CALLERS[tenant]) as own:
        ledger = (await own.runner()).ledger
        return [str(each) for each in await ledger.page(limit=100)], await ledger.uploads.live(0)


async def call_with_anns(
    url: str, tools: Sequence[Any], values: Sequence[str], anns: Anns, calls: slice = slice(None)
) -> list[str]:
    """Let Bob call tools with what Ann has, some calls of each; return what he is told of it beyond that."""
    found: list[str] = []
    async with connect(url, "bob") as bob:
        for tool in tools:
            for arguments in list_calls(tool, values, GIVEN)[calls]:
                told = (await bob.call_tool(tool["name"], arguments)).model_dump_json()
                found += [f"{tool['name']} {arguments}: {leak}" for leak in anns.find_in(told, json.dumps(arguments))]
    return found


async def test_no_utility_shows_or_uses_what_another_tenant_has(
    url: str, settings: Settings, sandbox: Sandbox, database: str
) -> None:
    anns = await make_things(url, sandbox)
    before, accepted = await read_rows(settings, "ann"), len(sandbox.accepted)
    tools = [each for each in TOOLS if not is_family(each)]
    # With PostgreSQL, each argument is usually tried with one or two of the six values.
    calls = slice(None, None, 1 if database == "sqlite" or Effort.is_thorough else 5)
    assert not await call_with_anns(url, tools, [*anns.list_ids(), *anns.list_files()], anns, calls)
    assert await read_rows(settings, "ann") == before
    sent = json.dumps([each.body for each in sandbox.accepted[accepted:]])
    assert sandbox.accepted[0].id not in sent


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_no_model_gets_a_file_or_task_of_another_tenant(url: str, settings: Settings, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    before, accepted = await read_rows(settings, "ann"), len(sandbox.accepted)
    # What Bob makes need not come to its end.
    sandbox._seconds = 10_000
    families = [without_texts(each) for each in TOOLS if is_family(each)]
    for n, value in enumerate(anns.list_files()):
        # Each is tried with one of them in two places, because all models look files up in the same way. The first
        # call has nothing of Ann's.
        assert not await call_with_anns(url, families[n::2], [value], anns, slice(1, 3))
    assert await read_rows(settings, "ann") == before
    # What KIE was sent has no address of hers, and no task of hers: a reference to either leads nowhere.
    sent = json.dumps([each.body for each in sandbox.accepted[accepted:]])
    assert anns.upload_url not in sent
    assert anns.kie_id not in sent


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_caller_without_the_right_to_spend_can_call_no_tool_that_does(url: str, sandbox: Sandbox) -> None:
    refused = 0
    async with connect(url, "eve") as eve, visit(url, "eve") as http:
        for tool in TOOLS:
            (arguments, *_) = list_calls(tool, (), GIVEN)
            # Some models of a family need no prompt, so its schema does not say that the others do.
            arguments |= {"prompt": "rain"} if "prompt" in tool["inputSchema"]["properties"] else {}
            told = answer(await eve.call_tool(tool["name"], arguments)).get("error", {}).get("category")
            if tool["annotations"].get("readOnlyHint"):
                assert told != "not_allowed", tool["name"]
            else:
                # The files and tasks of some calls are not there, which is told first.
                assert told in ("not_allowed", "invalid_call"), tool["name"]
                refused += told == "not_allowed"
        assert (await http.post("/uploads?name=a.png", content=PICTURE)).status_code == 403
    assert refused > 30
    assert not sandbox.accepted


async def test_who_may_only_look_stops_and_marks_nothing(settings: Settings, clock: JumpingClock) -> None:
    slow = httpx2.ASGITransport(app=Sandbox(seconds=10_000, clock=clock.time).app)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve_tenants(settings, slow, clock))
        async with connect(url, "ann") as ann:
            made = answer(await ann.call_tool("z_image", {"prompt": "a fox"}))["task_id"]
        stack.enter_context(JumpingClock.hold())
        async with connect(url, "ann-reads", extensions=[advertise(EXTENSION_ID)]) as reader:
            with pytest.raises(MCPError, match="may read"):
                await request_task(reader, "cancel", made)
            assert (await request_task(reader, "get", made))["status"] == "working"
        async with visit(url, "ann-reads") as http:
            for place in (f"tasks/{made}/marks", "uploads?name=a.png"):
                told = await http.post(f"/library/api/{place}", json={"favourite": True}, headers={PAGE_HEADER: "x"})
                assert told.status_code == 403
            (item,) = (await http.get(f"/library/api/tasks/{made}")).json()["lineage"]["items"]
            assert not item["favourite"]


async def test_who_may_only_look_sees_what_the_tenant_has(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    async with connect(url, "ann-reads") as reader:
        assert WORD in (await reader.call_tool("library", {})).model_dump_json()
        assert (await reader.read_resource(f"kie://tasks/{anns.task}/media/1")).contents


async def test_no_resource_prompt_or_completion_shows_what_another_tenant_has(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    found: list[str] = []
    async with connect(url, "bob") as bob:
        templates = [each.uri_template for each in (await bob.list_resource_templates()).resource_templates]
        listed = [str(each.uri) for each in (await bob.list_resources()).resources]
        values = [anns.task, anns.kie_id, anns.batch, anns.upload, anns.confirm]
        filled = [each.replace("{id}", value).replace("{n}", "1") for each in templates for value in values]
        for uri in [*listed, *filled]:
            try:
                told = (await bob.read_resource(uri)).model_dump_json()
            except MCPError as error:
                told = str(error)
            found += [f"{uri}: {leak}" for leak in anns.find_in(told, uri)]
        for each in templates:
            for argument in re.findall(r"{(\w+)}", each):
                reference = ResourceTemplateReference(type="ref/resource", uri=each)
                given = await bob.complete(reference, {"name": argument, "value": ""}, {"id": anns.task})
                found += [f"{each}: {leak}" for leak in anns.find_in(given.model_dump_json(), "")]
        for prompt in (await bob.list_prompts()).prompts:
            for argument in [each.name for each in prompt.arguments or ()]:
                given = await bob.complete(
                    PromptReference(type="ref/prompt", name=prompt.name), {"name": argument, "value": ""}
                )
                found += [f"{prompt.name}: {leak}" for leak in anns.find_in(given.model_dump_json(), "")]
    assert not found


async def test_no_method_of_mcp_tasks_knows_another_tenants_task(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    methods: dict[str, dict[str, Any]] = {"get": {}, "update": {"input_responses": {}}, "cancel": {}}
    async with connect(url, "bob", extensions=[advertise(EXTENSION_ID)]) as bob:
        for method, more in methods.items():
            with pytest.raises(MCPError) as refusal:
                pytest.fail(f"{method}: {await request_task(bob, method, anns.task, **more)}")
            assert "There is no task" in str(refusal.value), method
            assert not anns.find_in(str(refusal.value), anns.task), method
    async with connect(url, "ann", extensions=[advertise(EXTENSION_ID)]) as ann:
        assert (await request_task(ann, "get", anns.task))["status"] == "completed"


async def test_a_subscriber_hears_nothing_of_another_tenant(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    uris = ["kie://tasks", "kie://library", f"kie://tasks/{anns.task}"]
    async with (
        connect(url, "ann") as ann,
        connect(url, "bob") as bob,
        ann.listen(resource_subscriptions=uris) as hers,
        bob.listen(resource_subscriptions=uris) as his,
    ):
        await ann.call_tool("z_image", {"prompt": f"a third {WORD}"})
        await anext(aiter(hers))
        # What he hears next is of his own task.
        made = answer(await bob.call_tool("z_image", {"prompt": "a fox"}))
        heard = [await anext(aiter(his)) for _ in range(2)]
    assert {each.uri for each in heard if isinstance(each, ResourceUpdated)} <= {"kie://tasks", "kie://library"}
    assert made["task_id"] != anns.task


ROUTES = [
    "/library/api/items",
    "/library/api/items?words=velociraptor",
    "/library/api/items?batch={batch}",
    "/library/api/batches",
    "/library/api/months",
    "/library/api/tasks/{task}",
    "/library/api/tasks/{kie_id}",
    "/library/api/selection?tasks={task}",
    "/library/files/{task}/1",
    "/library/thumbnails/{task}/1",
    "/library/selected/sheet.jpg?tasks={task}",
    "/library/selected/kie-mcp.zip?tasks={task}",
    "/uploads/{upload}",
    "/callbacks/ann.{task}/{confirm}",
    "/healthz",
    "/readyz",
]


async def test_no_route_shows_what_another_tenant_has(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    async with visit(url, "bob") as bob, visit(url, "nobody") as nobody:
        for route in ROUTES:
            place = route.format(**asdict(anns))
            for http in (bob, nobody):
                for method in ("GET", "POST"):
                    response = await http.request(method, place)
                    assert not anns.find_in(response.text, place), place
                    assert "image" not in response.headers.get("content-type", "")
        for place in ("/library/api/items", "/uploads?name=a.png", "/mcp"):
            assert (await nobody.request("GET" if "api" in place else "POST", place)).status_code == 401


async def test_a_signed_link_opens_only_what_its_tenant_has(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    async with visit(url, "bob") as bob:
        own = (await bob.get("/library/api/items")).json()
        assert own == {"items": []}
        # Whoever has a link has the file, as with every link that a browser can open.
        assert (await bob.get(anns.link)).status_code == 200
        for changed in (anns.link.replace("tenant=ann", "tenant=bob"), anns.link.replace("tenant=ann&", "")):
            assert changed != anns.link
            assert (await bob.get(changed)).status_code == 403


async def test_kies_id_of_a_task_gives_nobody_a_task_of_a_common_account(url: str, sandbox: Sandbox) -> None:
    anns = await make_things(url, sandbox)
    async with connect(url, "bob") as bob:
        told = (await bob.call_tool("get_task", {"task_ids": anns.kie_id})).model_dump_json()
    assert "There is no task" in told
    assert not anns.find_in(told, anns.kie_id)
