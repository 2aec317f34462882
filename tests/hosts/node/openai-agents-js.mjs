// An agent of the OpenAI Agents SDK for JavaScript.
import { Agent, MCPServerStdio, run, setTracingDisabled } from "@openai/agents";
import { SERVER, play } from "./host.mjs";

setTracingDisabled(true);
const server = new MCPServerStdio(SERVER);
await server.connect();
const agent = new Agent({ name: "kie", model: "scripted", mcpServers: [server] });
await play((text) => run(agent, text));
