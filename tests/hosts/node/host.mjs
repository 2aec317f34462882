// What the drivers of the Node hosts share; each runs beside its host's packages.

export const SERVER = JSON.parse(process.env.HOSTS_SERVER);
export const MODEL = process.env.HOSTS_MODEL;
process.env.OPENAI_API_KEY = "scripted";
process.env.OPENAI_BASE_URL = `${MODEL}/v1`;

// Asks the agent for each wish on the command line; prints one JSON line for each, with the error if it throws.
export async function play(ask) {
  for (const wish of process.argv.slice(2)) {
    const line = { wish };
    try {
      await ask(`[wish:${wish}] Please do it.`);
    } catch (error) {
      line.error = String(error);
      console.error(error);
    }
    console.log(JSON.stringify(line));
  }
  process.exit(0);
}

// An agent for clients that bring none: `call` gets a tool's name and arguments, and the model gets its whole result.
export async function loop(text, tools, call) {
  const messages = [{ role: "user", content: text }];
  const functions = tools.map(({ name, inputSchema }) => ({ type: "function", function: { name, parameters: inputSchema } }));
  for (;;) {
    const answer = await fetch(`${MODEL}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ messages, tools: functions }) });
    const { message } = (await answer.json()).choices[0];
    messages.push(message);
    if (!message.tool_calls) return;
    for (const { id, function: f } of message.tool_calls) {
      const { content } = await call(f.name, JSON.parse(f.arguments));
      const parts = content.filter(({ type }) => type === "text" || type === "image");
      messages.push({ role: "tool", tool_call_id: id, content: parts });
    }
  }
}
