// An agent of LangChain.js with the tools of @langchain/mcp-adapters.
import { MultiServerMCPClient } from "@langchain/mcp-adapters";
import { ChatOpenAI } from "@langchain/openai";
import { createAgent } from "langchain";
import { SERVER, play } from "./host.mjs";

const client = new MultiServerMCPClient({ mcpServers: { kie: { transport: "stdio", ...SERVER } } });
const agent = createAgent({ model: new ChatOpenAI({ model: "scripted" }), tools: await client.getTools() });
await play((text) => agent.invoke({ messages: [{ role: "user", content: text }] }));
