#!/bin/sh
# autogen-agentchat 0.7.5: a picture in a tool's answer reaches the model as text, and as a PNG many times its size.
#
# An MCP server answers a call with a small JPEG. One would expect the model to see a picture, as it does where a user's
# message has one, or at least what the server sent. `AssistantAgent` makes a text of the answer
# (`ToolResult.to_text()`), in which the picture is `[Image: <base64>]`, although the model is said to have vision. The
# base64 is not the server's: `autogen_core.Image` keeps pixels, and `to_base64()` saves them as PNG. A photo of 45 kB
# becomes half a million characters, which no model can see and which fill its context. Nobody is told.
#
# Prints what the server sent and what the model got; fails when that changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    autogen-agentchat==0.7.5 'autogen-ext[mcp]==0.7.5' mcp==1.30.0 pillow==12.1.0
cat >"$folder/server.py" <<'PY'
import io
import random

from mcp.server.fastmcp import FastMCP, Image
from PIL import Image as Picture

server = FastMCP("photos")


def draw() -> bytes:
    """A JPEG of 512 x 512 px with as much detail as a photo has."""
    noise = random.Random(1)
    whole = Picture.new("RGB", (512, 512))
    for scale in (64, 16, 4, 2):
        side = 512 // scale
        layer = Picture.frombytes("RGB", (side, side), noise.randbytes(3 * side * side)).resize((512, 512))
        whole = Picture.blend(whole, layer, 0.4)
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=40)
    return file.getvalue()


@server.tool()
def photo() -> Image:
    """Take a photo."""
    return Image(data=draw(), format="jpeg")


if __name__ == "__main__":
    server.run()
PY
cat >"$folder/client.py" <<'PY'
import asyncio
import base64
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams
from server import draw

SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG"}


def describe(content: bytes) -> str:
    return next(name for start, name in SIGNATURES.items() if content.startswith(start))


async def main() -> None:
    call = FunctionCall(id="1", name="photo", arguments="{}")
    asked = CreateResult(
        finish_reason="function_calls",
        content=[call],
        usage=RequestUsage(prompt_tokens=0, completion_tokens=0),
        cached=False,
    )
    info = ModelInfo(vision=True, function_calling=True, json_output=True, structured_output=True, family="unknown")
    model = ReplayChatCompletionClient([asked, "A photo."], model_info=info)
    async with McpWorkbench(StdioServerParams(command=sys.executable, args=[sys.argv[1]])) as workbench:
        await AssistantAgent("a", model, workbench=workbench, reflect_on_tool_use=True).run(task="Take a photo.")
    got = model.create_calls[-1]["messages"][-1].content[0].content
    sent = draw()
    picture = base64.b64decode(got.removeprefix("[Image: ").removesuffix("]"))
    print(f"sent: {describe(sent)}, less than 45 kB: {len(sent) < 45_000}")
    print(f"got: {type(got).__name__} that starts with {got[:8]!r}, {describe(picture)}")
    print(f"the text is more than ten times as long as the picture: {len(got) > 10 * len(sent)}")


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/client.py" "$folder/server.py" >"$folder/seen" 2>"$folder/log" || cat "$folder/log" >&2
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
sent: JPEG, less than 45 kB: True
got: str that starts with '[Image: ', PNG
the text is more than ten times as long as the picture: True
TEXT
cmp "$folder/seen" "$folder/expected"
