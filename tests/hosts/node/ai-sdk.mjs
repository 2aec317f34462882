// The AI SDK.
import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs } from "ai";
import { MODEL, SERVER, play } from "./host.mjs";

const client = await createMCPClient({ transport: new StdioTransport(SERVER), protocolVersionDiscovery: false });
const tools = await client.tools();
const model = createOpenAICompatible({ name: "scripted", baseURL: `${MODEL}/v1` })("scripted");
await play((prompt) => generateText({ model, tools, prompt, stopWhen: stepCountIs(12) }));
