// Looks at the gallery in a browser: node gallery.mjs HOST_PAGE FOLDER CHROMIUM MODULES [SCENE]
// Prints which scenes were played and what went wrong in each, as JSON. Without a FOLDER (""), no photos are taken.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { playScenes } from "./chromium.mjs";

const [site, folder, executable, modules, ...wanted] = process.argv.slice(2);

const MEDIA = "https://tempfile.aiquickdraw.com";
const PATIENCE = 20_000;
const AT_ONCE = 4;
const WIDTHS = [320, 390, 768, 1440];
const AXE = readFileSync(path.join(modules, "axe-core", "axe.min.js"), "utf8");

// Pages whose scenes have ended: another scene takes them, because a new page costs several processes.
const idle = [];

async function openPage(browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  // KIE's host of media, as far as it is let in at all.
  await context.route(`${MEDIA}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const response = await fetch(`${site}/kie${pathname}`);
    await route.fulfill({
      status: response.status,
      contentType: response.headers.get("content-type"),
      body: Buffer.from(await response.arrayBuffer()),
    });
  });
  const page = await context.newPage();
  await page.goto(site);
  return page;
}

// A page of the host with the gallery in it, so high that the gallery's own window over its cards is within.
// What moves all the time would be drawn sixty times a second.
async function open(browser, { width = 760, height = 900, system = "light", clock = false, ...shown } = {}) {
  const page = idle.pop() ?? await openPage(browser);
  const trouble = [];
  page.removeAllListeners("pageerror").on("pageerror", (error) => trouble.push(error.message));
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: system, reducedMotion: "reduce" });
  if (clock) await page.clock.install();
  await page.evaluate((options) => chat.show(options), shown);
  const view = page.frameLocator("iframe");
  const inHost = (expression, given) => page.evaluate(expression, given);
  return {
    page,
    view,
    close() {
      assert.deepEqual(trouble, []);
      if (!clock) idle.push(page);
    },
    run: (name, given) => inHost(([tool, args]) => chat.run(tool, args), [name, given]),
    result: (params) => inHost((result) => chat.tell("ui/notifications/tool-result", result), params),
    tell: (method, params) => inHost(([name, given]) => chat.tell(name, given), [method, params]),
    refuse: (refusing) => inHost((flag) => { chat.refusing = flag; }, refusing),
    asked: (method) => inHost((name) => chat.heard(name), method),
    state: (word, nth = 0) => view.locator(".state", { hasText: word }).nth(nth).waitFor(),
    frames: (state) => view.locator(`#cards .frame[data-state="${state}"]`),
    button: (name) => view.getByRole("button", { name, exact: true }),
    buttons: async () => view.locator("#cards .acts:not([hidden]) button").allTextContents(),
    said: () => inHost(async () => (await chat.heard("ui/message")).map(({ content }) => content[0].text)),
    inner: () => page.frames().find((frame) => frame.parentFrame()),
    async accessible(what) {
      const inner = page.frames().find((frame) => frame.parentFrame());
      await inner.evaluate(AXE);
      const { violations } = await inner.evaluate(() => axe.run({ resultTypes: ["violations"] }));
      assert.deepEqual(violations.map(({ id, nodes }) => `${what}: ${id} ${nodes.map((each) => each.html).slice(0, 2)}`), []);
    },
    async photo(name) {
      if (!folder) return;
      await page.waitForTimeout(250);
      // Beyond the window a frame is not painted.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width: page.viewportSize().width, height: Math.max(height, 200) });
      await page.waitForTimeout(250);
      await page.screenshot({ path: path.join(folder, `${name}.png`) });
    },
    fits: async () => {
      const inner = page.frames().find((frame) => frame.parentFrame());
      for (let left = 40; ; left -= 1) {
        const [scroll, width, height] = await inner.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return [scrollWidth, clientWidth, document.body.getBoundingClientRect().height];
        });
        assert.ok(scroll <= width, `${scroll} px in ${width}`);
        const said = await inHost(() => chat.sizes.at(-1).height);
        if (Math.abs(said - height) <= 1) return;
        assert.ok(left, `${said} px told, ${height} px high`);
        await page.waitForTimeout(50);
      }
    },
  };
}

const only = async ({ asked }) => new Set((await asked("tools/call")).map(({ name }) => name));

const scenes = {
  async "a place of the asked shape is kept while it runs, and the bar never stands at its end"(browser) {
    const at = await open(browser, { context: { toolInfo: { tool: { name: "nano_banana_image" } } }, clock: true });
    const prompt = "A red fox in fresh snow at first light, its breath in the cold air (stall)";
    await at.page.evaluate((given) => chat.tell("ui/notifications/tool-input", { arguments: given }), { prompt, aspect_ratio: "16:9" });
    const place = at.view.locator(".frame").first();
    const shape = async () => { const { width, height } = await place.boundingBox(); return (width / height).toFixed(2); };
    assert.equal(await shape(), "1.78");
    await at.run("nano_banana_image", { prompt, aspect_ratio: "16:9" });
    await at.state("Running");
    assert.equal(await at.view.locator(".title").textContent(), prompt);
    assert.equal(await at.view.locator(".model").textContent(), "Nano Banana 2.1");
    assert.equal(await at.view.locator(".cost").textContent(), "about 4 credits");
    assert.equal(await shape(), "1.78");
    const bar = at.view.getByRole("progressbar", { name: "Progress" });
    await at.photo("running");
    await at.view.locator(".time", { hasText: /^Longer than usual: \d+ s$/ }).waitFor();
    assert.equal(await bar.getAttribute("aria-valuenow"), null);
    assert.equal((await at.buttons()).length, 0);
    await at.fits();
    // The page asks on its own clock, which a busy machine holds up.
    while ((await at.asked("tools/call")).length === 0) await at.page.waitForTimeout(100);
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    // Once a second the time is told to the eye alone, or a screen reader would never be silent.
    assert.match(await at.view.locator("#news").textContent(), /: Running$/);
    await at.tell("ui/notifications/host-context-changed", { theme: "dark" });
    await at.photo("longer-dark");
    await at.refuse(true);
    const asked = (await at.asked("tools/call")).length;
    for (let second = 0; second < 5; second += 1) {
      await at.page.clock.runFor(1000);
      await at.asked("tools/call");
    }
    const more = (await at.asked("tools/call")).length - asked;
    assert.ok(more >= 1 && more <= 3, `${more} more questions`);
    return at;
  },

  async "what is done can be enlarged, saved, and used by the agent, by keyboard alone"(browser) {
    const at = await open(browser, { context: { availableDisplayModes: ["inline", "fullscreen"], displayMode: "inline" } });
    const { view, page } = at, prompt = "A red fox in fresh snow at first light";
    const { task_id: id, status } = await at.run("nano_banana_image", { prompt });
    assert.equal(status, "running");
    await at.state("Done");
    await at.frames("shown").waitFor();
    assert.equal(await view.locator(".cost").textContent(), "4 credits");
    assert.match(await view.locator("#cards .path").textContent(), /^Saved as .+\.jpg$/);
    assert.match(await view.locator("#cards").getByRole("img", { name: `Picture: ${prompt}` }).getAttribute("src"), new RegExp(`^${MEDIA}/`));
    const [frame, body] = [await view.locator(".frame").boundingBox(), await view.locator("main").boundingBox()];
    assert.ok(Math.abs((frame.x - body.x) - (body.x + body.width - frame.x - frame.width)) < 2, "in the middle");
    await at.photo("done");
    await at.fits();
    // With the keyboard alone.
    const order = [];
    await view.locator("body").evaluate((element) => { element.tabIndex = -1; element.focus(); });
    await page.keyboard.press("Tab");
    assert.match(await view.locator(":focus").getAttribute("aria-label"), /^Enlarge: /);
    for (let step = 0; step < 7; step += 1) {
      await page.keyboard.press("Tab");
      const focused = view.locator(":focus-visible");
      order.push(await focused.textContent());
      assert.notEqual(await focused.evaluate((each) => getComputedStyle(each).outlineStyle), "none");
      await page.keyboard.press("Enter");
      await view.locator("#cards .acts button:disabled").waitFor({ state: "detached" });
    }
    assert.deepEqual(order, ["Save", "Open", "Another take", "Use as input", "Upscale", "Animate", "Remove background"]);
    const [{ contents: [link] }] = await at.asked("ui/download-file");
    assert.equal(link.type, "resource_link");
    assert.match(link.name, /-1\.jpg$/);
    const [{ url }] = await at.asked("ui/open-link");
    assert.equal(url, link.uri);
    const said = await at.said();
    assert.equal(said.length, 5);
    assert.match(said[0], new RegExp(`another take of task ${id}`));
    assert.match(said[1], new RegExp(`task:${id}#1 as the input`));
    assert.match(said[2], new RegExp(`^Upscale task:${id}#1\\. Tell me the price first`));
    // Enlarged, and as large as the host lets it be.
    await view.locator(".frame").focus();
    await page.keyboard.press("Enter");
    await view.locator("#viewer .stage img").waitFor();
    await page.waitForTimeout(200);
    assert.ok((await view.locator("#viewer .stage img").boundingBox()).height > 300);
    await at.accessible("viewer");
    await at.photo("viewer");
    await at.button("Full screen").click();
    await page.locator('iframe[data-mode="fullscreen"]').waitFor();
    assert.equal(await at.button("Full screen").getAttribute("aria-pressed"), "true");
    await page.keyboard.press("Escape");
    await page.locator('iframe[data-mode="inline"]').waitFor();
    assert.match(await view.locator(":focus").getAttribute("aria-label"), /^Enlarge: /);
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    return at;
  },

  async "a host that can do little"(browser) {
    const at = await open(browser, { capabilities: { serverTools: {} }, clock: true });
    await at.run("nano_banana_image", { prompt: "a fox in a small house" });
    await at.frames("shown").waitFor();
    assert.deepEqual(await at.buttons(), ["Another take", "Use as input", "Upscale", "Animate", "Remove background"]);
    await at.view.locator(".frame").click();
    assert.equal(await at.button("Full screen").count(), 0);
    assert.equal(await at.button("Next").count(), 0);
    await at.button("Close").click();
    // The user whom the chat asks is away for a while.
    await at.page.evaluate(() => { chat.silent = true; });
    await at.button("Another take").click();
    await at.page.clock.fastForward(70_000);
    await at.view.locator("#cards .said", { hasText: /^The chat has not answered yet\.$/ }).waitFor();
    await at.button("Another take").click();
    await at.button("Use as input").click();
    assert.deepEqual((await at.said()).map((each) => each.split(" ", 1)[0]), ["Make", "Use"]);
    return at;
  },

  async "four pictures have one row of buttons, and are gone through one by one"(browser) {
    const at = await open(browser, { width: 900, context: { theme: "dark" } });
    const { task_id: id } = await at.run("seedream_image", { prompt: "Four foxes, one for each season", count: 4, aspect_ratio: "4:3" });
    await at.frames("shown").nth(3).waitFor();
    await at.photo("four-wide-dark");
    const lefts = async () => new Set(await at.view.locator("#cards .frame").evaluateAll((all) => all.map((each) => each.getBoundingClientRect().left))).size;
    assert.equal(await lefts(), 4);
    await at.page.setViewportSize({ width: 320, height: 900 });
    await at.photo("four-narrow-dark");
    assert.equal(await lefts(), 2);
    await at.fits();
    await at.page.setViewportSize({ width: 720, height: 900 });
    assert.equal(await at.view.locator("#cards .acts").count(), 1);
    await at.button("Save all").click();
    const [{ contents }] = await at.asked("ui/download-file");
    assert.equal(contents.length, 4);
    assert.match(contents[2].name, /-3\.png$/);
    await at.button("Upscale").click();
    assert.match((await at.said())[0], new RegExp(`^Upscale task:${id}#1, task:${id}#2, .+#4\\. Ask me which`));
    await at.view.getByRole("button", { name: "Enlarge: Picture 2 of 4" }).click();
    await at.view.locator("#viewer-title", { hasText: "2 of 4" }).waitFor();
    await at.page.keyboard.press("ArrowRight");
    await at.view.locator("#viewer-title", { hasText: "3 of 4" }).waitFor();
    await at.button("Previous").click();
    await at.view.locator("#viewer-title", { hasText: "2 of 4" }).waitFor();
    await at.view.locator("#viewer").getByRole("button", { name: "Use as input" }).click();
    assert.match((await at.said())[1], new RegExp(`task:${id}#2 `));
    return at;
  },

  async "an edit is laid on what it was made from"(browser) {
    const at = await open(browser, { height: 1600 });
    const { task_id: fox } = await at.run("nano_banana_image", { prompt: "a fox by day" });
    await at.frames("shown").waitFor();
    await at.run("nano_banana_image", { prompt: "make it night", images: [`task:${fox}#1`] });
    await at.frames("shown").nth(1).waitFor();
    await at.view.locator(".frame").nth(1).click();
    await at.button("Before and after").click();
    const slider = at.view.getByRole("slider", { name: "How much of the picture before is shown" });
    await slider.focus();
    await at.page.keyboard.press("ArrowRight");
    assert.equal(await at.view.locator(".compare").evaluate((each) => each.style.getPropertyValue("--at")), "51%");
    assert.equal(await at.view.locator(".compare canvas.before").count(), 1);
    await at.accessible("before and after");
    await at.photo("before-after");
    return at;
  },

  async "clips play, and songs have a title, a cover and a length"(browser) {
    const at = await open(browser);
    const [video, song] = await Promise.all([
      at.page.evaluate(() => call("kling_video", { prompt: "The fox looks around" })),
      at.page.evaluate(() => call("suno_music", { prompt: "A song for a fox" })),
    ]);
    const ids = [video, song].map((each) => each.structuredContent.task_id);
    await at.run("get_task", { task_ids: ids.join(", "), wait_seconds: 30 });
    await at.state("Done", 1);
    await at.frames("shown").nth(2).waitFor();
    assert.deepEqual(await at.view.locator("#cards .title").allTextContents(), ["The fox looks around", "A song for a fox"]);
    assert.equal(await at.view.locator("video[controls]").count(), 1);
    assert.equal(await at.view.locator("audio[controls]").count(), 2);
    assert.match((await at.view.locator(".song .name").allTextContents()).join(), /\d:\d\d.*\d:\d\d/);
    await at.photo("video-and-sound");
    await at.page.setViewportSize({ width: 320, height: 900 });
    await at.tell("ui/notifications/host-context-changed", { theme: "dark" });
    await at.photo("video-and-sound-narrow-dark");
    await at.fits();
    assert.equal(await at.view.locator("article").count(), 2);
    return at;
  },

  async "a task that is asked after again has one card"(browser) {
    const at = await open(browser);
    const { task_id: id } = await at.run("nano_banana_image", { prompt: "a fox to ask after" });
    await at.frames("shown").waitFor();
    const again = await open(browser);
    await again.run("get_task", { task_ids: [id] });
    await again.button("Show it here").waitFor();
    assert.equal(await again.view.locator(".frame:visible").count(), 0);
    assert.equal(await again.view.locator(".title").textContent(), "a fox to ask after");
    await again.photo("folded");
    await again.button("Show it here").click();
    await again.frames("shown").waitFor();
    await again.refuse(true);
    await again.button("Another take").click();
    await again.view.locator("#cards .said", { hasText: "Say it yourself: Make another take" }).waitFor();
    await again.button("Save").click();
    await again.view.locator("#cards .said", { hasText: "It was not saved." }).waitFor();
    await again.refuse(false);
    // The same page is asked again: still one.
    const { structuredContent } = await again.page.evaluate((task) => call("get_task", { task_ids: [task] }), id);
    await again.result({ structuredContent });
    assert.equal(await again.view.locator("article").count(), 1);
    again.close();
    // A tool that goes on from a task does not ask after it.
    await at.tell("ui/notifications/tool-input", { arguments: { prompt: "then it runs", task_id: id } });
    await at.view.locator("article").nth(1).waitFor();
    assert.deepEqual(await at.view.locator(".title").allTextContents(), ["a fox to ask after", "then it runs"]);
    await at.state("Starting");
    // The chat is opened again, and its host shows the calls of its history once more.
    await at.page.reload();
    await at.page.evaluate(() => chat.show());
    await at.tell("ui/notifications/tool-input", { arguments: { prompt: "a fox to ask after" } });
    await at.result({ structuredContent });
    await at.view.locator(".time", { hasText: "took" }).waitFor();
    assert.equal(await at.view.locator(".frame:visible").count(), 1);
    return at;
  },

  async "models are compared, many are made, what was made is found, and a film is shown"(browser) {
    const at = await open(browser, { width: 900 });
    const prompt = "A lighthouse in a storm";
    await at.run("compare_models", { prompt, models: ["z-image", "qwen-image"], max_credits: 50 });
    await at.frames("shown").nth(1).waitFor();
    assert.equal(await at.view.locator(".group > h2").textContent(), prompt);
    assert.deepEqual(await at.view.locator(".group .title").allTextContents(), ["Z-Image", "Qwen"]);
    await at.photo("compare");
    await at.fits();
    const batch = await open(browser, { context: { theme: "dark" } });
    await batch.run("make_batch", { model: "z-image", prompts: ["a cat", "a dog", "an owl (stall)"], max_credits: 60 });
    await batch.view.locator("figcaption", { hasText: "3. an owl (stall)" }).waitFor();
    assert.match(await batch.view.locator(".time").textContent(), /^\d of 3, /);
    await batch.photo("batch-running-dark");
    await batch.page.evaluate(() => fetch("/resume", { method: "POST", body: "an owl (stall)" }));
    await batch.state("Done");
    await batch.frames("shown").nth(2).waitFor();
    assert.deepEqual(await batch.view.locator("figcaption").allTextContents(), ["1. a cat", "2. a dog", "3. an owl (stall)"]);
    await batch.photo("batch-dark");
    await batch.accessible("batch");
    const found = await open(browser, { width: 700 });
    await found.run("library", { words: "lighthouse" });
    await found.frames("shown").nth(1).waitFor();
    assert.deepEqual(await found.view.locator("figcaption").allTextContents(), [prompt, prompt]);
    await found.view.locator(".frame").first().click();
    await found.view.locator("#viewer .stage img, #viewer .stage canvas").waitFor();
    await found.page.keyboard.press("Escape");
    await found.photo("library");
    const none = await open(browser);
    await none.run("library", { words: "nothing of the kind" });
    await none.view.locator(".note", { hasText: "Nothing like that was made." }).waitFor();
    const film = await open(browser);
    await film.result({ structuredContent: { task_id: "t_film", status: "succeeded", model: "kie-mcp/edit", credits: 0, elapsed_seconds: 4, is_free: true, media: [{ path: "/films/fox.mp4", facts: "0:12 MP4" }] } });
    assert.deepEqual([await film.view.locator(".title").textContent(), await film.view.locator(".cost").textContent()], ["Film", "Free"]);
    assert.ok((await film.buttons()).includes("Change it"));
    for (const each of [batch, found, none, film]) each.close();
    return at;
  },

  async "tasks are listed, shown where they are listed, and money is told"(browser) {
    const at = await open(browser, { width: 700 });
    await Promise.all(["by day", "by night"].map((time) => at.page.evaluate((prompt) => call("nano_banana_image", { prompt }), `a hare ${time}`)));
    const { tasks } = await at.run("list_tasks", { words: "hare" });
    assert.equal(tasks.length, 2);
    await at.view.locator(".cost", { hasText: "2 found" }).waitFor();
    assert.equal(await at.view.locator(".title").textContent(), "Tasks: hare");
    assert.deepEqual(new Set(await at.view.locator(".what").allTextContents()), new Set(["a hare by day", "a hare by night"]));
    assert.match(await at.view.locator(".rows .facts").first().textContent(), /^(Running|Done)Nano Banana 2\.1.*\d{4}/);
    await at.photo("tasks");
    await at.fits();
    await at.view.getByRole("button", { name: "Show: a hare by night" }).click();
    await at.frames("shown").waitFor();
    const [, shown] = await at.view.locator("header").allInnerTexts();
    assert.match(shown, /^a hare by night\s+Done\s+Nano Banana 2\.1\s+4 credits\s+took \d+ s$/);
    assert.equal(await at.view.locator("article").count(), 2, "the list stays");
    await at.accessible("tasks");
    await at.photo("tasks-shown");
    const more = await open(browser, { context: { theme: "dark" } });
    await more.run("list_tasks", { limit: 1 });
    await more.view.locator(".cost", { hasText: "1 and more found" }).waitFor();
    await more.button("Show more").click();
    assert.match((await more.said())[0], /^Show me the tasks before these: list_tasks with cursor \d.+:t_\w+\.$/);
    const none = await open(browser);
    await none.run("list_tasks", { words: "nothing of the kind" });
    await none.view.locator(".note", { hasText: "There are no such tasks." }).waitFor();
    const spent = await open(browser, { context: { theme: "dark" } });
    await spent.run("spend_report", { by: "model" });
    await spent.view.locator(".what", { hasText: "Nano Banana 2.1" }).waitFor();
    assert.equal(await spent.view.locator(".title").textContent(), "Spent in the last 30 days");
    assert.match(await spent.view.locator(".cost").textContent(), /^[\d,.]+ credits \(\$\d+\.\d\d\d?\)$/);
    await spent.accessible("spending");
    await spent.photo("spent-dark");
    const balance = await open(browser);
    await balance.run("get_credits", {});
    await balance.view.locator(".much", { hasText: /^[\d,.]+ credits \(\$[\d,.]+\)$/ }).waitFor();
    await balance.photo("balance");
    for (const each of [more, none, spent, balance]) {
      await each.fits();
      each.close();
    }
    return at;
  },

  async "media that the host blocks"(browser) {
    const at = await open(browser, { csp: "none", system: "dark" });
    const [picture, video] = await Promise.all([
      at.page.evaluate(() => call("nano_banana_image", { prompt: "a fox behind a fence" })),
      at.page.evaluate(() => call("kling_video", { prompt: "a fox behind a fence" })),
    ]);
    const ids = [picture, video].map((each) => each.structuredContent.task_id);
    await at.run("get_task", { task_ids: ids, wait_seconds: 30 });
    await at.frames("shown").nth(1).waitFor();
    await at.view.getByRole("img", { name: "Picture: a fox behind a fence" }).waitFor();
    assert.deepEqual(await at.view.locator(".frame canvas").evaluate(({ width, height }) => [width, height]), [512, 512]);
    assert.match(await at.view.locator(".frame video").getAttribute("src"), /^data:video\/mp4;base64,/);
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    return at;
  },

  async "every state fits and is accessible at every width, light and dark"(browser) {
    let at;
    const states = [
      { task_id: "t_runs", status: "running", model: "kling-3.0/video", prompt: "A fox runs through the forest", kind: "video", estimated_credits: [90, 90], elapsed_seconds: 12, usual_seconds: 90 },
      { task_id: "t_gone", status: "succeeded", model: "z-image", prompt: "Gone", elapsed_seconds: 3, credits: 1, media: [{ url: `${MEDIA}/gone.png` }, { url: `${MEDIA}/gone.mp4` }, { path: "/tmp/a.mid", mime_type: "audio/midi" }] },
      { task_id: "t_words", status: "succeeded", model: "ai-music-api/generate-lyrics", prompt: "the sea", kind: "text", elapsed_seconds: 9, texts: ["[Verse]\nthe sea, I sing of the sea", "[Chorus]\nOh, the sea!"] },
      { task_id: "t_fails", status: "failed", model: "qwen/text-to-image", prompt: "A fox that cannot be", credits: 0, error: { category: "kie", message: "KIE had trouble.", billed: false, retryable: true, next_step: "The same call may work later." } },
      { task_id: "t_lost", status: "unknown", model: "veo3", prompt: "Nobody knows", error: { category: "unknown_outcome", message: "KIE did not answer.", billed: null, next_step: "Look into KIE's log." } },
      { status: "quoted", model: "veo3", estimated_credits: [250, 250], estimated_usd: [1.25, 1.25], basis: "price list", balance: 9674, balance_usd: 48.37, balance_after: 9424 },
    ];
    const lists = [
      { tasks: [
        { task_id: "t_1", status: "succeeded", model: "z-image", created: "2026-10-02 22:59 UTC", prompt: "A lighthouse in a storm, with waves as high as its windows", files: 4 },
        { task_id: "t_2", status: "unknown", model: "kling-3.0/video", created: "2026-10-02 22:59 UTC", prompt: "", files: 0 },
      ], next_cursor: "1.5:t_2" },
      { by: "day", days: 30, more: 3, all: { charged: 1240, usd: 6.2 }, lines: [
        { of: "2026-10-02", tasks: 12, succeeded: 11, charged: 1200, failed_charged: 0, open: 90, usd: 6 }, { of: "2026-10-01", tasks: 3, succeeded: 3, charged: 40, usd: 0.2 },
      ] },
      { credits: 9674, usd: 48.37 },
    ];
    for (const system of ["light", "dark"]) {
      at?.close();
      at = await open(browser, { width: 1440, system, csp: "none", context: { theme: system } });
      for (const each of [...lists, ...states]) await at.result({ structuredContent: each });
      await at.frames("gone").nth(2).waitFor();
      const told = await at.view.locator(".frame p").allTextContents();
      assert.match(told[0], /cannot show it\. Open shows it/);
      assert.match(told[1], /cannot play it/);
      assert.equal(told[2], "No preview.");
      assert.deepEqual(await at.view.locator("header .state").allTextContents(), ["", "", "", "Running", "Done", "Done", "Failed", "Unknown", "Price"]);
      for (const width of WIDTHS) {
        await at.page.setViewportSize({ width, height: 300 });
        await at.page.waitForTimeout(100);
        await at.fits();
        if (width === 320 || width === 1440) await at.photo(`states-${width}-${system}`);
      }
      await at.accessible(system);
    }
    return at;
  },

  async "media from elsewhere"(browser) {
    const at = await open(browser, { csp: "all" });
    const asked = [];
    at.page.on("request", (request) => asked.push(new URL(request.url()).host));
    const { host } = new URL(MEDIA);
    const strangers = [
      "https://example.invalid/x.png", `https://${host}.example.invalid/x.png`, `https://${host}:8443/x.png`,
      `https://${host}@example.invalid/x.png`, `https://example.invalid/${host}/x.mp4`, `https://x${host}/x.mp3`,
    ];
    await at.result({ structuredContent: {
      task_id: "t_gone", status: "succeeded", model: "m", elapsed_seconds: 3,
      media: [...strangers, `${MEDIA}/gone.png`].map((url) => ({ url })),
    } });
    await at.frames("gone").nth(strangers.length).waitFor();
    assert.deepEqual(asked.filter((each) => each !== new URL(site).host), [host]);
    return at;
  },

  async "a failure"(browser) {
    const at = await open(browser);
    const { task_id: id } = await at.run("qwen_image", { prompt: "A fox that cannot be (fail)" });
    await at.state("Failed");
    await at.view.locator(".message", { hasText: "injected into the sandbox" }).waitFor();
    assert.match(await at.view.locator(".advice").textContent(), /charged/);
    assert.ok((await at.buttons()).includes("Try again"));
    const other = await open(browser);
    await other.run("kling_video", { prompt: "a fox", duration: 99 });
    await other.state("Failed");
    assert.match(await other.view.locator(".advice").textContent(), /^Nothing was charged\./);
    assert.equal((await other.buttons()).length, 0);
    // Of what is no task, no card says that it starts or runs.
    await other.run("get_task", { task_ids: ["t_nowhere", `kie://tasks/${id}`] });
    await other.run("get_task", { task_ids: ["t_neither"] });
    for (const wrong of ["t_nowhere", "t_neither"]) await other.view.locator(".message", { hasText: `There is no task ${wrong}` }).waitFor();
    assert.deepEqual(await other.view.locator("header .state").allTextContents(), ["Failed", "Failed", "Failed"]);
    await other.view.locator(".title", { hasText: "A fox that cannot be (fail)" }).waitFor();
    other.close();
    return at;
  },

  async "a price and a question are cards of their own, with two answers"(browser) {
    const at = await open(browser);
    await at.page.evaluate(() => chat.tell("ui/notifications/tool-input", { arguments: { prompt: "a fox at a price", quote: true } }));
    await at.state("Asking for the price");
    await at.run("kling_video", { prompt: "a fox at a price", quote: true });
    await at.state("Price");
    assert.match((await at.view.locator(".price dd").allTextContents()).join("; "), /^90 credits \(\$0\.45\); .+; [\d.,]+ credits \(\$[\d.,]+\) - [\d.,]+ credits afterwards$/);
    assert.equal(await at.view.locator("#cards .note").textContent(), "Nothing was made or charged.");
    assert.equal(await at.view.getByRole("progressbar").count(), 0);
    assert.deepEqual(await at.buttons(), ["Go ahead", "Not now"]);
    await at.photo("quoted");
    await at.fits();
    // The chat answers between the two clicks, and is told once.
    await at.button("Go ahead").dblclick({ delay: 80 });
    await at.button("Not now").click();
    await at.view.locator("#cards .said", { hasText: "Told the agent." }).waitFor();
    assert.deepEqual(await at.said(), [
      'Go ahead: make what you told me the price of (Kling 3.0, "a fox at a price"). I agree to 90 credits.',
      'Do not make it (Kling 3.0, "a fox at a price"). Ask me what to do instead.',
    ]);
    assert.deepEqual(await at.asked("tools/call"), []);
    // The quote of a call that was made before names its task.
    const again = await open(browser);
    await again.result({ structuredContent: { status: "quoted", task_id: "t_before", model: "m", balance: 7, balance_after: 7, note: "Made before." } });
    await again.state("Price");
    assert.equal(await again.view.locator("#cards .note").textContent(), "Nothing was made or charged. Made before.");
    assert.deepEqual(await again.buttons(), ["Show it"]);
    const several = await open(browser, { width: 320 });
    await several.run("compare_models", { prompt: "a fox", models: ["z-image", "qwen-image"], max_credits: 50, quote: true });
    await several.state("Price");
    assert.match((await several.view.locator(".price").textContent()), /Z-Image.+credits?Qwen.+credits?/);
    await several.fits();
    await several.photo("quoted-several-narrow");
    const question = await open(browser, { context: { theme: "dark" } });
    await question.run("suno_music", { prompt: "a song that is asked for" });
    await question.result({ isError: true, structuredContent: { status: "failed", model: "veo3", estimated_credits: [250, 250], estimated_usd: [1.25, 1.25], balance: 9000, balance_usd: 45, error: {
      category: "confirmation_needed", retryable: false, billed: false,
      message: "veo3 may cost 250 credits ($1.25): so much needs the user's word.",
      next_step: "Ask the user. If they agree, make the same call with confirm: 'c_abcdefgh2345' within 5 minutes.",
    } } });
    await question.state("Waits for your answer");
    const asked = question.view.locator('article[data-state="asked"]');
    assert.match(await asked.locator(".price").textContent(), /250 credits \(\$1\.25\).+9,000 credits \(\$45\) - 8,750 credits afterwards/);
    assert.equal(await asked.locator(".advice").textContent(), "Nothing was charged.");
    assert.deepEqual(await asked.locator("button").allTextContents(), ["Go ahead", "Not now"]);
    const [tone, bad] = await asked.locator(".state").evaluate((state) => {
      const probe = state.appendChild(document.createElement("i"));
      probe.style.color = "var(--bad)";
      const colours = [getComputedStyle(state).color, getComputedStyle(probe).color];
      probe.remove();
      return colours;
    });
    assert.notEqual(tone, bad);
    await question.accessible("question");
    await question.photo("asked-dark");
    // Hosts that pass the text alone.
    for (const [content, isError, word] of [
      ["m would cost 9 credits. Nothing was sent. The same call without quote makes it.", false, "Price"],
      ["m costs 9 credits. it is task t_abcdefgh2345. Nothing was sent. get_task shows the task.", false, "Price"],
      ["failed: m may cost 900 credits. Ask the user. (confirmation_needed, not retryable)", true, "Waits for your answer"],
      ["failed: The user did not agree to the cost. (declined, not retryable)", true, "Not made"],
      ["failed: No. (invalid_call, not retryable)", true, "Failed"],
    ]) {
      const plain = await open(browser);
      await plain.result({ content: [{ type: "text", text: content }], isError });
      await plain.state(word);
      plain.close();
    }
    for (const each of [again, several, question]) each.close();
    return at;
  },

  async "words"(browser) {
    const at = await open(browser);
    await at.run("suno_lyrics", { prompt: "the sea" });
    await at.view.locator(".text").first().waitFor();
    assert.match(await at.view.locator(".text").first().textContent(), /\n\n\[Verse\]\n/);
    // The full stop of Arabic words is on their left.
    const arabic = "ثعلب أحمر في الثلج.", label = `لا ${arabic}`;
    await at.result({ structuredContent: { task_id: "t_arabic", status: "failed", prompt: arabic, texts: [arabic], note: arabic, media: [{ path: "/a.mid", label }, { path: "/b.mp3", label }], error: { message: arabic } } });
    await at.result({ structuredContent: { tasks: [{ task_id: "t_arabic", status: "failed", created: "2026-10-02 22:59 UTC", prompt: arabic }] } });
    const sides = await at.inner().evaluate((words) => [...document.querySelectorAll("#cards *")].filter((each) => !each.childElementCount && each.textContent.endsWith(words)).map((each) => {
      const [first, last] = [0, each.textContent.length - 1].map((place) => {
        const range = document.createRange();
        range.setStart(each.firstChild, place);
        range.setEnd(each.firstChild, place + 1);
        return range.getBoundingClientRect().left;
      });
      return `${each.className || each.localName} ${last < first ? "left" : "right"}`;
    }), arabic);
    assert.deepEqual(sides, ["title left", "message left", "figcaption left", "span left", "text left", "note left", "what left"]);
    await at.photo("arabic");
    // A host that passes the text alone.
    const plain = await open(browser);
    const made = await at.page.evaluate(() => call("nano_banana_image", { prompt: "only told" }));
    await plain.result({ content: made.content });
    await plain.frames("shown").waitFor();
    assert.equal(await plain.view.locator(".title").textContent(), "only told");
    await plain.result({ content: (await at.page.evaluate(() => call("get_credits", {}))).content });
    await plain.view.locator(".note", { hasText: /credits/ }).waitFor();
    assert.doesNotMatch(await plain.view.locator("article").last().innerText(), /Failed|unknown/);
    await plain.result({ isError: true, content: [{ type: "text", text: "Out of order." }] });
    await plain.view.locator(".message", { hasText: "Out of order." }).waitFor();
    await plain.result({ isError: true, content: [{ type: "text", text: "failed: No. Nothing was charged. (invalid_call, not retryable)" }] });
    await plain.view.locator(".advice", { hasText: /^Nothing was charged\.$/ }).waitFor();
    plain.close();
    return at;
  },

  async "hostile words stay words"(browser) {
    const at = await open(browser);
    const evil = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`;
    await at.run("nano_banana_image", { prompt: evil });
    await at.frames("shown").waitFor();
    assert.equal(await at.view.locator(".title").textContent(), evil);
    await at.result({ structuredContent: {
      task_id: evil, status: evil, model: evil, note: evil, texts: [evil, { toString: 1 }, null], credits: evil,
      elapsed_seconds: evil, usual_seconds: { a: 1 }, estimated_credits: [evil], prompt: { a: evil }, kind: "__proto__",
      error: { message: evil, next_step: evil, billed: evil, retryable: evil },
      media: [
        { url: "javascript:document.title='broken'", mime_type: "image/png", label: evil },
        { url: "data:text/html,<script>document.title='broken'</script>", mime_type: "video/mp4" },
        { url: "http://127.0.0.1/x.png", mime_type: "constructor/x", path: evil },
        { url: `https://example.invalid/"onerror="x.png` }, null, 5, "x",
      ],
    } });
    await at.view.locator("article").nth(1).waitFor();
    await at.page.waitForTimeout(400);
    const inner = at.page.frames().find((frame) => frame.parentFrame());
    const facts = await inner.evaluate(() => ({
      title: document.title,
      scripts: document.querySelectorAll("script").length,
      strangers: document.querySelectorAll("main img:not(.frame img), main script, main iframe, dialog img").length,
      sources: [...document.querySelectorAll("[src]")].map((each) => each.getAttribute("src")),
      handlers: [...document.querySelectorAll("*")].flatMap((each) => each.getAttributeNames()).filter((name) => name.startsWith("on")),
    }));
    assert.deepEqual({ ...facts, sources: [] }, { title: "KIE.ai", scripts: 1, strangers: 0, sources: [], handlers: [] });
    assert.ok(facts.sources.every((each) => each.startsWith("https://")), facts.sources.join());
    await at.photo("hostile");
    // Only the window around the page is listened to.
    await inner.evaluate(() => { postMessage({ jsonrpc: "2.0", method: "ui/notifications/tool-result", params: { structuredContent: { task_id: "t_forged", status: "running" } } }, "*"); });
    await at.page.waitForTimeout(200);
    assert.equal(await at.view.locator("article").count(), 2);
    return at;
  },

  async "a host with a look of its own, and an end"(browser) {
    const variables = { "--color-background-primary": "rgb(1, 2, 3)", "--font-sans": "serif", color: "red" };
    const at = await open(browser, { context: { theme: "dark", styles: { variables }, locale: "de-DE", safeAreaInsets: { top: 7 } } });
    const inner = at.page.frames().find((frame) => frame.parentFrame());
    await at.result({ structuredContent: { task_id: "t_x", status: "running", model: "m", estimated_credits: [1234.5, 1234.5], elapsed_seconds: 70, usual_seconds: 150 } });
    const root = await inner.evaluate(() => {
      const { backgroundColor, fontFamily, colorScheme, color } = getComputedStyle(document.documentElement);
      return [backgroundColor, fontFamily, colorScheme, color, document.body.style.paddingTop];
    });
    assert.deepEqual(root, ["rgb(1, 2, 3)", "serif", "dark", "rgb(241, 239, 233)", "7px"]);
    assert.equal(await at.view.locator(".cost").textContent(), "about 1.234,5 credits");
    assert.match(await at.view.locator(".time").textContent(), /^1 min 1\d s of usually 2 min 30 s$/);
    await at.page.evaluate(() => chat.post({ id: 77, method: "ui/resource-teardown", params: {} }));
    await at.page.evaluate(() => chat.post({ id: 78, method: "ui/nothing", params: {} }));
    await at.page.waitForTimeout(200);
    const answers = await at.asked("answer");
    assert.deepEqual(answers.map(({ id, error }) => [id, error?.code]), [[77, undefined], [78, -32601]]);
    return at;
  },
};

await playScenes(scenes, { executable, modules, wanted, atOnce: AT_ONCE });
