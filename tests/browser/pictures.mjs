// Takes screenshots: node pictures.mjs CHROMIUM MODULES JSON, a list of {address, file, size, whole, frame, until}.
// `until` is what the page, or the one inside the frame, has to show before.
import { launch } from "./chromium.mjs";

const [executable, modules, wanted] = process.argv.slice(2);
const PATIENCE = 20_000;

const browser = await launch(executable, modules);
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  for (const { address, file, size: [width, height], whole, frame, until } of JSON.parse(wanted)) {
    await page.setViewportSize({ width, height });
    await page.goto(address);
    if (until) {
      await (frame ? page.frameLocator(frame) : page).locator(until).first().waitFor();
      await page.waitForLoadState("networkidle");
    }
    if (whole) {
      // The page in the chat tells its height after its picture has come.
      await page.waitForTimeout(500);
      // Beyond the window a frame is not painted.
      await page.setViewportSize({ width, height: await page.evaluate(() => document.documentElement.scrollHeight) });
      await page.waitForTimeout(500);
    }
    await page.screenshot({ path: file });
  }
} finally {
  await browser.close();
}
