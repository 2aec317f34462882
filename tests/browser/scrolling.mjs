// Scrolls through the library page and measures its frames: node scrolling.mjs ADDRESS ITEMS CHROMIUM MODULES
// Prints the figures as JSON; times are in milliseconds.
import { launch } from "./chromium.mjs";

const [address, items, executable, modules] = process.argv.slice(2);
const PX_A_SECOND = 4000;
const SECONDS = 6;

// Scrolls at a steady speed, and returns the times between the frames that the browser drew.
function scroll([speed, seconds, from]) {
  return new Promise((resolve) => {
    const gaps = [];
    let start = 0, last = 0;
    scrollTo(0, from);
    function draw(now) {
      if (last) gaps.push(now - last);
      start ||= now;
      last = now;
      if (now - start > seconds * 1000) { resolve(gaps); return; }
      scrollTo(0, from + ((now - start) * speed) / 1000);
      requestAnimationFrame(draw);
    }
    requestAnimationFrame(draw);
  });
}

function sum(gaps) {
  const sorted = gaps.toSorted((a, b) => a - b), at = (share) => Number(sorted[Math.floor(share * (sorted.length - 1))].toFixed(1));
  const seconds = gaps.reduce((all, each) => all + each, 0) / 1000;
  return { frames_a_second: Number((gaps.length / seconds).toFixed(1)), median: at(0.5), p95: at(0.95), p99: at(0.99), longest: at(1) };
}

const browser = await launch(executable, modules);
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(address);
  await page.locator(".tile").nth(20).waitFor();
  const first = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  const tiles = await page.evaluate(() => performance.now());
  const fresh = sum(await page.evaluate(scroll, [PX_A_SECOND, SECONDS, 0]));
  const start = Date.now();
  await page.evaluate(async (wanted) => { while (here.next && here.items.length < wanted) await load(false); }, Number(items));
  const all = Date.now() - start;
  // What loading has left behind in memory is cleared away meanwhile.
  await page.waitForTimeout(1500);
  const middle = await page.evaluate(() => document.documentElement.scrollHeight / 2);
  const loaded = sum(await page.evaluate(scroll, [PX_A_SECOND, SECONDS, middle]));
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  console.log(JSON.stringify({ first_paint: Math.round(first), first_tiles: Math.round(tiles), fresh, all_loaded: all, loaded, nodes }));
} finally {
  await browser.close();
}
