// Looks at the library page in a browser: node library.mjs ADDRESS BIG_ADDRESS FOLDER CHROMIUM MODULES [SCENE]
// Prints which scenes were played and what went wrong in each, as JSON.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { playScenes } from "./chromium.mjs";

const [small, big, folder, executable, modules, ...wanted] = process.argv.slice(2);
const WIDTHS = [320, 390, 768, 1024];
const AT_ONCE = 3;
const AXE = readFileSync(path.join(modules, "axe-core", "axe.min.js"), "utf8");

async function open(browser, { width = 1280, height = 800, system = "light", address = small } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: system, acceptDownloads: true });
  context.setDefaultTimeout(15_000);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  const trouble = [];
  page.on("pageerror", (error) => trouble.push(error.message));
  page.on("console", (message) => { if (message.type() === "error") trouble.push(`${message.text()} ${message.location().url}`); });
  page.on("request", (request) => { if (new URL(request.url()).origin !== new URL(address).origin) trouble.push(request.url()); });
  await page.goto(address);
  const close = () => {
    assert.deepEqual(trouble, []);
    return context.close();
  };
  return { page, trouble, close };
}

async function shown(page) {
  await page.locator(".tile").first().waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".cover img")].slice(0, 6).every((each) => each.complete && each.naturalWidth));
}

async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${what}: ${id} ${nodes.map((each) => each.html).slice(0, 2)}`), []);
}

async function fits(page, what) {
  const [scroll, width] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(scroll <= width, `${what}: ${scroll} px in ${width}`);
}

// The next request for a place fails, as with a busy ledger; a browser writes that into its console.
const failOnce = (page, place) => page.route(place, (route) => route.fulfill({ status: 503, json: { error: `Busy: ${place}.` } }), { times: 1 });

// Waits for a message that nothing covers.
async function told(page, words) {
  await page.locator("#message", { hasText: words }).locator("button").click({ trial: true });
}

const photo = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) });

const scenes = {
  async "every view fits and is accessible at every width, light and dark"(browser) {
    let at;
    for (const [width, system] of [[1440, "light"], [320, "dark"]]) {
      await at?.close();
      at = await open(browser, { width, system });
      const { page } = at;
      const check = async (view) => {
        for (const each of [...WIDTHS, width]) {
          await page.setViewportSize({ width: each, height: 800 });
          await fits(page, `${view} ${each}`);
        }
        await accessible(page, `${view} ${width}`);
        await photo(page, `${view}-${width}-${system}`);
      };
      await shown(page);
      await check("grid");
      await page.locator(".pick").nth(1).click();
      await page.getByText("More filters").click();
      await check("selected");
      await page.locator(".tile .open").nth(0).click();
      await page.locator("#viewer dl").waitFor();
      await page.waitForTimeout(300);
      await check("viewer");
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Use in chat" }).click();
      await page.locator("#chat").waitFor();
      await check("chat");
      await page.locator("#chat").getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: "Batches" }).click();
      await page.getByRole("button", { name: "Show its items" }).waitFor();
      await check("batches");
      await page.getByRole("button", { name: "Months" }).click();
      await page.locator("#months tbody tr").first().waitFor();
      await check("months");
    }
    return at;
  },

  async "everything is found, shown and taken by keyboard"(browser) {
    const at = await open(browser);
    const { page } = at;
    await shown(page);
    assert.equal(new URL(page.url()).hash, "");
    const all = await page.locator(".tile").count();
    await page.locator(".open").first().focus();
    await page.keyboard.press("ArrowRight");
    const second = await page.evaluate(() => document.activeElement.closest(".tile").dataset.id);
    assert.equal(second, await page.locator(".tile").nth(1).getAttribute("data-id"));
    await page.keyboard.press("Enter");
    await page.locator("#viewer dl", { hasText: second }).waitFor();
    await page.keyboard.press("ArrowRight");
    const third = await page.locator(".tile").nth(2).getAttribute("data-id");
    await page.locator("#viewer dl", { hasText: third }).waitFor();
    await page.keyboard.press("Escape");
    await page.waitForFunction((id) => document.activeElement.closest(".tile")?.dataset.id === id, third);
    // A view that was chosen before the search began stays.
    await page.getByRole("searchbox").fill("fox");
    await page.getByRole("button", { name: "Months" }).click();
    await page.waitForTimeout(300);
    assert.equal(await page.evaluate(() => here.view), "months");
    await page.getByRole("button", { name: "Everything" }).click();
    // Search, and an edit with what it was made from.
    await page.getByRole("searchbox").fill("make it night");
    await page.waitForFunction(() => document.querySelectorAll(".tile").length === 1);
    await page.locator(".open").first().click();
    await page.getByRole("heading", { name: "Lineage" }).waitFor();
    const prompt = await page.locator(".prompt").textContent();
    for (const each of [".title", ".prompt", "dd"]) assert.equal(await page.locator(each).first().evaluate((element) => getComputedStyle(element).unicodeBidi), "plaintext");
    assert.match(prompt, /<b>stars<\/b>/);
    await page.getByRole("button", { name: "Copy prompt" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), prompt);
    await page.getByRole("button", { name: "Before and after" }).click();
    await page.getByRole("slider", { name: "How much of the picture before is shown" }).press("ArrowRight");
    assert.equal(await page.locator(".compare").evaluate((each) => each.style.getPropertyValue("--at")), "51%");
    await accessible(page, "before and after");
    await photo(page, "before-after");
    await page.getByRole("button", { name: /^Made from: A red fox/ }).click();
    await page.getByRole("button", { name: /^Used for: Make it night/ }).waitFor();
    assert.equal(await page.locator(".graph path").count(), 1);
    await page.keyboard.press("Escape");
    await page.getByRole("searchbox").fill("");
    await page.waitForFunction((count) => document.querySelectorAll(".tile").length === count, all);
    return at;
  },

  async "a clip and a sound play, and the browser can jump in them"(browser) {
    const at = await open(browser);
    const { page } = at;
    await shown(page);
    for (const [kind, tag] of [["video", "video"], ["audio", "audio"]]) {
      await page.locator("select[name=kind]").selectOption(kind);
      await page.waitForFunction((label) => [...document.querySelectorAll(".badge")].length && [...document.querySelectorAll(".badge")].every((each) => each.textContent === label || each.textContent.endsWith("files")), { video: "Clip", audio: "Sound" }[kind]);
      await page.locator(".open").first().click();
      const seconds = await page.locator(`#viewer ${tag}`).evaluate((player) => new Promise((resolve, reject) => {
        const known = () => { player.currentTime = player.duration / 2; player.onseeked = () => resolve(player.currentTime); };
        player.onerror = () => reject(new Error(player.error.message));
        if (player.readyState) known(); else player.onloadedmetadata = known;
      }));
      assert.ok(seconds > 0, `${kind}: ${seconds}`);
      await photo(page, `viewer-${kind}`);
      await page.keyboard.press("Escape");
      // A file that was deleted from disk.
      await page.route("**/library/files/**", (route) => route.fulfill({ status: 400 }), { times: 1 });
      await page.locator(".open").first().click();
      await page.locator(".stage", { hasText: "This file is not there any more" }).waitFor();
      await page.keyboard.press("Escape");
    }
    at.trouble.splice(0);
    return at;
  },

  async "what is selected becomes a sheet, a ZIP and a text for the chat"(browser) {
    const at = await open(browser);
    const { page } = at;
    await shown(page);
    await page.locator("select[name=kind]").selectOption("image");
    await page.waitForFunction(() => !document.querySelector(".badge"));
    await page.locator(".tile input").nth(0).check();
    await page.locator(".tile input").nth(1).check();
    await page.getByText("2 selected").waitFor();
    for (const [button, name] of [["Contact sheet", "contact-sheet.jpg"], ["Save as ZIP", "kie-mcp.zip"]]) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
      await download.saveAs(path.join(folder, name));
    }
    const ids = await page.locator(".tile").evaluateAll((tiles) => tiles.slice(0, 2).map((each) => each.dataset.id));
    await page.getByRole("button", { name: "Use in chat" }).click();
    await page.locator("#chat").waitFor();
    const text = await page.locator("#chat textarea").inputValue();
    for (const id of ids) assert.ok(text.includes(`task:${id}#1`), text);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Make a film" }).click();
    await page.locator("#chat").waitFor();
    assert.match(await page.locator("#chat textarea").inputValue(), new RegExp(`^Join these to a film with edit_media.+:\n- task:${ids[0]}#1`));
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Clear", exact: true }).click();
    assert.equal(await page.locator("input:checked").count(), 0);
    await page.locator("select[name=kind]").selectOption("text");
    await page.locator(".tile", { hasText: "the sea" }).locator("input").check();
    await page.getByRole("button", { name: "Save as ZIP" }).click();
    await told(page, "The selected things have no files.");
    await accessible(page, "message");
    await photo(page, "message");
    await page.locator("select[name=kind]").selectOption("film");
    await page.getByText("Nothing like that was made.").waitFor();
    assert.ok(await page.locator("#message").isHidden());
    return at;
  },

  async "favourites and tags are kept, a dropped file gets an address, and what is deleted goes to the trash"(browser) {
    const at = await open(browser);
    const { page } = at;
    await shown(page);
    const count = (wanted) => page.waitForFunction((number) => document.querySelectorAll(".tile").length === number, wanted);
    const all = await page.locator(".tile").count();
    await page.getByRole("button", { name: "Favourite: an owl at night" }).click();
    await page.locator('.star[aria-pressed="true"]').waitFor();
    await page.locator(".tile", { hasText: "an owl at night" }).locator(".open").click();
    await page.getByLabel("Tags, with commas").fill("x".repeat(41));
    await page.getByRole("button", { name: "Keep", exact: true }).click();
    await told(page, "These are no tags.");
    await page.getByLabel("Tags, with commas").fill("birds, <b>winter</b>");
    await page.getByRole("button", { name: "Keep", exact: true }).click();
    await page.locator("#tags option").nth(1).waitFor({ state: "attached" });
    await accessible(page, "tags");
    await photo(page, "tags");
    await page.keyboard.press("Escape");
    assert.deepEqual(await page.locator(".tags span").allTextContents(), ["<b>winter</b>", "birds"]);
    await page.reload();
    await shown(page);
    await page.locator("select[name=only]").selectOption("favourite");
    await count(1);
    await photo(page, "favourites");
    await page.locator("select[name=only]").selectOption("");
    await count(all);
    // A file from elsewhere.
    const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    const drag = (name) => page.evaluate(([content, event]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt(0))], "dot.png", { type: "image/png" }));
      data.items.add(new File(["no media"], "notes.pages"));
      dispatchEvent(new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true }));
    }, [png, name]);
    await drag("dragenter");
    await page.locator("#drop").waitFor();
    await photo(page, "drop");
    await drag("drop");
    await page.locator("#chat").waitFor();
    assert.match(await page.locator("#chat textarea").inputValue(), /^Use these files with kie-mcp:\n- kie:\/\/uploads\/\w+: .+\.png, until /);
    await told(page, "notes.pages: ");
    await page.keyboard.press("Escape");
    const session = await page.context().newCDPSession(page), data = { items: [], files: [folder], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    await told(page, "It cannot be read: it is a folder");
    // Only after a question.
    await page.locator(".tile", { hasText: "a dog" }).locator("input").check();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("heading", { name: "Delete a dog?" }).waitFor();
    await accessible(page, "question");
    await photo(page, "delete");
    await page.locator("#ask").getByRole("button", { name: "Keep" }).click();
    assert.equal(await page.locator(".tile").count(), all);
    // What cannot be deleted does not keep the others.
    await page.locator(".tile", { hasText: "a cat" }).locator("input").check();
    const locked = await page.locator(".tile", { hasText: "a cat" }).getAttribute("data-id");
    await failOnce(page, `**/tasks/${locked}/trash*`);
    await page.locator("#selection").getByRole("button", { name: "Delete" }).click();
    await page.locator("#ask").getByRole("button", { name: "Delete" }).click();
    await count(all - 1);
    await told(page, "Busy: ");
    await page.getByText("1 selected").waitFor();
    assert.deepEqual(await page.locator(".tile:has(input:checked) .title").allTextContents(), ["a cat"]);
    await page.locator("select[name=only]").selectOption("trashed");
    await count(1);
    assert.equal(await page.locator(".title").textContent(), "a dog");
    // A browser writes every refused request into its console.
    at.trouble.splice(0);
    return at;
  },

  async "without the token nothing is shown, and with it all"(browser) {
    const [place, token] = small.split("#");
    const at = await open(browser, { address: place });
    const { page, trouble } = at;
    await page.getByRole("heading", { name: "Token needed" }).waitFor();
    assert.equal(await page.locator(".tile").count(), 0);
    await accessible(page, "login");
    await photo(page, "login");
    await page.getByLabel("Token").fill("a wrong token");
    await page.getByRole("button", { name: "Show the library" }).click();
    await page.getByText("This is not the token of this server, or not any more.").waitFor();
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Show the library" }).click();
    await shown(page);
    // A browser writes every 401 into its console.
    trouble.splice(0);
    return at;
  },

  async "ten thousand things are scrolled through without waiting for all of them"(browser) {
    const at = await open(browser, { address: big });
    const { page, trouble } = at;
    await page.locator(".tile").first().waitFor();
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    assert.ok(paint < 1000, `first paint after ${paint} ms`);
    const count = () => page.evaluate(() => here.items.length);
    assert.ok((await count()) < 200);
    await failOnce(page, "**/api/items?*cursor=*");
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await told(page, "Busy: ");
    await page.getByRole("button", { name: "Show more" }).click();
    const end = Date.now() + 20_000;
    for (let seen = 0; seen < 1000; seen = await count()) {
      assert.ok(Date.now() < end, `stuck at ${seen}`);
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.waitForTimeout(30);
    }
    const titles = () => [...document.querySelectorAll(".title")].map((each) => each.textContent);
    // More things may come at any moment, so what is compared is read at once.
    const [names, shown] = await page.evaluate(`[here.items.map((each) => each.prompt), (${titles})()]`);
    assert.equal(new Set(names).size, names.length);
    assert.deepEqual(names.slice(0, 2), ["thing 9999", "thing 9998"]);
    // However far one scrolls, few of them are elements, and they stand in their order.
    assert.ok(shown.length < 150, `${shown.length} tiles`);
    assert.deepEqual(shown, names.slice(names.indexOf(shown[0]), names.indexOf(shown[0]) + shown.length));
    const before = await page.evaluate(`[...document.querySelectorAll(".open")].at(-1).focus(), (${titles})().at(-2)`);
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.evaluate(() => document.activeElement.querySelector(".title").textContent), before);
    await page.evaluate(() => scrollTo(0, 0));
    await page.locator(".title", { hasText: /^thing 9999$/ }).waitFor();
    // The files of these things are gone, and a browser writes every 404 into its console.
    assert.ok(trouble.splice(0).every((each) => /\/library\/thumbnails\/|cursor=/.test(each)));
    return at;
  },
};

await playScenes(scenes, { executable, modules, wanted, atOnce: AT_ONCE });
