// Starts the system's Chromium, driven by the playwright-core in a folder of modules; it asks nobody for anything.
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
