// An agent of Mastra.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Agent } from "@mastra/core/agent";
import { MCPClient } from "@mastra/mcp";
import { MODEL, SERVER, play } from "./host.mjs";

const client = new MCPClient({ servers: { kie: SERVER } });
const model = createOpenAICompatible({ name: "scripted", baseURL: `${MODEL}/v1` })("scripted");
const agent = new Agent({ id: "kie", name: "kie", instructions: "Make media.", model, tools: await client.listTools() });
await play((text) => agent.generate(text, { maxSteps: 12 }));
