// Starts the system's Chromium, driven by the playwright-core in a folder of modules; it asks nobody for anything.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

export function launch(executablePath, modules) {
  const { chromium } = createRequire(path.join(modules, "x"))("playwright-core");
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

// Plays scenes, some at a time, and prints as JSON what went wrong in each; a scene returns its page, to be closed.
export async function playScenes(scenes, { executable, modules, wanted, atOnce }) {
  const browser = await launch(executable, modules);
  const played = {};
  const left = Object.keys(scenes).filter((name) => !wanted.length || wanted.includes(name));

  async function play() {
    for (let name = left.shift(); name; name = left.shift()) {
      try {
        const at = await scenes[name](browser);
        await at.close();
        played[name] = "";
      } catch (error) {
        played[name] = error.stack;
      }
    }
  }

  try {
    await Promise.all(Array.from({ length: atOnce }, play));
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(played));
}
