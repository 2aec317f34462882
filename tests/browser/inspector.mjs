// Opens the gallery in the MCP Inspector: node inspector.mjs INSPECTOR TOKEN SERVER PICTURE CHROMIUM MODULES
// Fails where the Inspector does not connect, does not take the page for one, or shows no result in it.
import { launch } from "./chromium.mjs";

const [site, token, server, picture, executable, modules] = process.argv.slice(2);
const call = Buffer.from(JSON.stringify({ prompt: "A red fox in fresh snow" })).toString("base64url");
const query = new URLSearchParams({
  serverUrl: server, transport: "http", autoConnect: token, openApp: "nano_banana_image", appArgs: call, autoOpen: token,
});

const browser = await launch(executable, modules);
try {
  const page = await browser.newPage({ viewport: { width: 1300, height: 1000 } });
  page.setDefaultTimeout(30_000);
  await page.goto(`${site}/?${query}`);
  await page.locator('[data-testid="connection-status"][data-status="connected"]').waitFor();
  await page.locator('[data-app-status="ready"]').waitFor();
  const shown = async (frame) => frame.url() === "about:srcdoc" && await frame.locator('.frame[data-state="shown"]').count();
  for (let left = 100; ; left -= 1) {
    const found = await Promise.all(page.frames().map((frame) => shown(frame).catch(() => 0)));
    if (found.some(Boolean)) break;
    if (!left) throw new Error("The Inspector shows no picture in the gallery.");
    await page.waitForTimeout(200);
  }
  await page.screenshot({ path: picture });
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser.close();
}
