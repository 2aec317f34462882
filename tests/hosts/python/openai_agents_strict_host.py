"""An agent of the OpenAI Agents SDK whose tools have strict schemas."""

import asyncio

from openai_agents_host import main

asyncio.run(main(convert_schemas_to_strict=True))
