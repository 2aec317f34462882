// The TypeScript SDK, 2.x.
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { SERVER, loop, play } from "./host.mjs";

const client = new Client({ name: "hosts", version: "1" });
await client.connect(new StdioClientTransport(SERVER));
const { tools } = await client.listTools();
await play((text) => loop(text, tools, (name, args) => client.callTool({ name, arguments: args })));
