// Starts the system's Chromium, driven by the playwright-core in a folder of modules; it asks nobody for anything.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

// What a test sees nothing of, yet each window or frame would start processes for it: the lists below the address bar,
// which are pages of their own, and a process for every sandboxed frame. The last such list that Chromium is given
// counts, so the rest is what Playwright turns off for Chromium.
const OFF = [
  "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess", "IsolateSandboxedIframes",
  "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
  "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
  "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
  "PreconnectToSearch",
];

export function launch(executablePath, modules) {
  const { chromium } = createRequire(path.join(modules, "x"))("playwright-core");
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--disable-features=${OFF}`],
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
