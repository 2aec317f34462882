// The command line of the MCP Inspector, which starts the server anew for each call.
import { execFileSync } from "node:child_process";
import { SERVER, loop, play } from "./host.mjs";

const settings = Object.entries(SERVER.env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);

function inspect(...options) {
  const target = [SERVER.command, ...SERVER.args];
  try {
    return JSON.parse(execFileSync("mcp-inspector", ["--cli", ...settings, ...target, "--method", ...options]));
  } catch (error) {
    // A tool's error ends it with 1, and is printed all the same.
    if (!error.stdout?.length) throw new Error(String(error.stderr));
    return JSON.parse(error.stdout);
  }
}

const { tools } = inspect("tools/list");
await play((text) =>
  loop(text, tools, (name, args) => {
    // It takes JSON, too, and an empty text only as JSON: `""`.
    const write = (value) => (value && typeof value === "string" ? value : JSON.stringify(value));
    const given = Object.entries(args).flatMap(([key, value]) => ["--tool-arg", `${key}=${write(value)}`]);
    return inspect("tools/call", "--tool-name", name, ...given);
  }),
);
