// The bridge: JSON-RPC with the window around this one.
const host = {
  can: {},
  context: {},
  hears: {},
  asked: new Map(),

  post(message) { parent.postMessage({ jsonrpc: "2.0", ...message }, "*"); },

  tell(method, params = {}) { this.post({ method, params }); },

  ask(method, params, seconds = 60) {
    const id = (this.last = (this.last ?? 0) + 1);
    return new Promise((resolve, reject) => {
      const timer = seconds < Infinity && setTimeout(() => this.settle({ id, error: { message: "The chat does not answer." } }), seconds * 1000);
      this.asked.set(id, { resolve, reject, timer });
      this.post({ id, method, params });
    });
  },

  settle({ id, result, error }) {
    const { resolve, reject, timer } = this.asked.get(id) ?? {};
    if (!this.asked.delete(id)) return;
    clearTimeout(timer);
    if (error) reject(new Error(error.message)); else resolve(result ?? {});
  },

  hear({ source, data }) {
    if (source !== parent || data?.jsonrpc !== "2.0") return;
    if (typeof data.method !== "string") { this.settle(data); return; }
    const known = Object.hasOwn(this.hears, data.method);
    if (known) this.hears[data.method](data.params ?? {});
    if (data.id === undefined) return;
    this.post(known ? { id: data.id, result: {} } : { id: data.id, error: { code: -32601, message: "Method not found" } });
  },

  async connect() {
    addEventListener("message", (event) => this.hear(event));
    const { hostCapabilities, hostContext } = await this.ask("ui/initialize", {
      appInfo: { name: "kie-mcp gallery", version: "2" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
      protocolVersion: "2026-01-26",
    });
    this.can = hostCapabilities ?? {};
    this.hears["ui/notifications/host-context-changed"](hostContext ?? {});
    this.tell("ui/notifications/initialized");
    new ResizeObserver(() => this.measure()).observe(document.body);
  },

  // Beside a scrollbar, pictures are narrower and so lower; with that height, the scrollbar would never go away.
  measure() {
    const { style } = document.documentElement;
    style.overflow = "hidden";
    const { height } = document.body.getBoundingClientRect();
    style.overflow = "";
    this.tell("ui/notifications/size-changed", { width: innerWidth, height: Math.ceil(height) });
  },

  get canFill() { return list(this.context.availableDisplayModes).includes("fullscreen"); },

  get isFull() { return this.context.displayMode === "fullscreen"; },

  // The host answers with the mode that there is now, which need not be the one asked for.
  async fill(wanted) {
    const { mode } = await this.ask("ui/request-display-mode", { mode: wanted ? "fullscreen" : "inline" }).catch(() => ({}));
    if (typeof mode === "string") this.hears["ui/notifications/host-context-changed"]({ displayMode: mode });
  },
};

function dress({ theme, styles, locale, safeAreaInsets }) {
  const root = document.documentElement;
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {})) {
    if (name.startsWith("--") && typeof value === "string") root.style.setProperty(name, value);
  }
  if (typeof locale === "string") words.locale = locale;
  for (const side of ["top", "right", "bottom", "left"]) {
    if (safeAreaInsets?.[side]) document.body.style.setProperty(`padding-${side}`, `${Number(safeAreaInsets[side])}px`);
  }
}

const text = (value) => (typeof value === "string" ? value : "");
const list = (value) => (Array.isArray(value) ? value : []);

// What buttons asked the chat for. Until two seconds after its answer, the same is a double click, which asks once.
const pressed = new Map();

function askOnce(method, params) {
  const key = JSON.stringify([method, params]);
  if (!pressed.has(key)) {
    pressed.set(key, host.ask(method, params, Infinity).catch(() => ({ isError: true })));
    pressed.get(key).then(() => setTimeout(() => pressed.delete(key), 2000));
  }
  return pressed.get(key);
}

// The chat may ask its user first, who may take any time; only an answer tells that it was not done.
async function must(method, params, otherwise) {
  const late = new Promise((_, reject) => setTimeout(reject, 60_000, new Error("The chat has not answered yet.")));
  const { isError } = await Promise.race([askOnce(method, params), late]);
  if (isError) throw new Error(otherwise);
}

// What is said here stands in the chat as words of the user; the agent decides what to call, and its host asks as ever.
async function say(message) {
  const content = [{ type: "text", text: message }];
  await must("ui/message", { role: "user", content }, `The chat takes no message from here. Say it yourself: ${message}`);
  return "Told the agent.";
}

// Few questions at once, because a list has twenty things.
const waiting = [];
let underWay = 0;

async function askServer(given) {
  while (underWay >= 4) await new Promise((resolve) => waiting.push(resolve));
  underWay += 1;
  try {
    const { isError, structuredContent } = await host.ask("tools/call", { name: "gallery_task", arguments: { view, ...given } });
    if (isError || !structuredContent) throw Object.assign(new Error("no answer"), { refusal: structuredContent });
    return structuredContent;
  } finally {
    underWay -= 1;
    waiting.shift()?.();
  }
}

// Tells this page from others that show the same task.
const view = Array.from(crypto.getRandomValues(new Uint8Array(8)), (each) => each.toString(16).padStart(2, "0")).join("");
