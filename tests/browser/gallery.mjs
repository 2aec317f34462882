// Looks at the gallery in a browser: node gallery.mjs HOST_PAGE FOLDER CHROMIUM MODULES [SCENE]
// Prints which scenes were played and what went wrong in each, as JSON.
import assert from "node:assert/strict";
import path from "node:path";
import { playScenes } from "./chromium.mjs";

const [site, folder, executable, modules, ...wanted] = process.argv.slice(2);

const MEDIA = "https://tempfile.aiquickdraw.com";
const PATIENCE = 20_000;
const AT_ONCE = 4;

// A page of the host with the gallery in it.
async function open(browser, { width = 760, height = 200, system = "light", ...shown } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: system });
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
  const trouble = [];
  page.on("pageerror", (error) => trouble.push(error.message));
  await page.goto(site);
  await page.evaluate((options) => chat.show(options), shown);
  const view = page.frameLocator("iframe");
  const inHost = (expression, given) => page.evaluate(expression, given);
  return {
    page,
    view,
    trouble,
    run: (name, given) => inHost(([tool, args]) => chat.run(tool, args), [name, given]),
    result: (params) => inHost((result) => chat.tell("ui/notifications/tool-result", result), params),
    tell: (method, params) => inHost(([name, given]) => chat.tell(name, given), [method, params]),
    refuse: (refusing) => inHost((flag) => { chat.refusing = flag; }, refusing),
    asked: (method) => inHost((name) => chat.asked.filter((each) => each.method === name).map((each) => each.params), method),
    state: (word, nth = 0) => view.locator(".state", { hasText: word }).nth(nth).waitFor(),
    frames: (state) => view.locator(`.frame[data-state="${state}"]`),
    async photo(name) {
      await page.waitForTimeout(250);
      // Beyond the window a frame is not painted.
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.setViewportSize({ width: page.viewportSize().width, height: Math.max(height, 200) });
      await page.waitForTimeout(250);
      await page.screenshot({ path: path.join(folder, `${name}.png`) });
    },
    fits: async () => {
      const inner = page.frames().find((frame) => frame.parentFrame());
      const [scroll, width, height] = await inner.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth, clientWidth, document.body.getBoundingClientRect().height];
      });
      assert.ok(scroll <= width, `${scroll} px in ${width}`);
      const said = await inHost(() => chat.sizes.at(-1).height);
      assert.ok(Math.abs(said - height) <= 1, `${said} px told, ${height} px high`);
    },
  };
}

const only = async ({ asked }) => new Set((await asked("tools/call")).map(({ name }) => name));

const scenes = {
  async "runs"(browser) {
    const at = await open(browser);
    const prompt = "A red fox in fresh snow at first light, its breath in the cold air (stall)";
    await at.run("nano_banana_image", { prompt });
    await at.state("Running");
    assert.equal(await at.view.locator(".title").textContent(), prompt);
    assert.equal(await at.view.locator(".cost").textContent(), "about 4 credits");
    const bar = at.view.getByRole("progressbar", { name: "Progress" });
    assert.match(await bar.getAttribute("aria-valuetext"), /^\d+ s of usually \d+ s$/);
    const now = () => bar.getAttribute("aria-valuenow").then(Number);
    const [before, time] = [await now(), await at.view.locator(".time").textContent()];
    await at.page.waitForTimeout(3000);
    assert.notEqual(await at.view.locator(".time").textContent(), time);
    assert.ok((await now()) > before);
    assert.ok((await now()) < 100);
    assert.equal(await at.view.getByRole("button").count(), 0);
    await at.photo("running");
    await at.fits();
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    // Once a second the time is told to the eye alone, or a screen reader would never be silent.
    assert.match(await at.view.locator("#news").textContent(), /: Running$/);
    await at.tell("ui/notifications/host-context-changed", { theme: "dark" });
    await at.photo("running-dark");
    await at.refuse(true);
    const asked = (await at.asked("tools/call")).length;
    await at.page.waitForTimeout(7000);
    const more = (await at.asked("tools/call")).length - asked;
    assert.ok(more >= 1 && more <= 3, `${more} more questions`);
    return at;
  },

  async "is done"(browser) {
    const at = await open(browser);
    const prompt = "A red fox in fresh snow at first light, its breath in the cold air";
    const { status } = await at.run("nano_banana_image", { prompt });
    assert.equal(status, "running");
    await at.state("Done");
    assert.equal(await at.view.getByRole("progressbar").count(), 0);
    await at.frames("shown").waitFor();
    assert.equal(await at.view.locator(".cost").textContent(), "4 credits");
    assert.match(await at.view.locator(".path").textContent(), /^Saved as .+\.jpg$/);
    assert.match(await at.view.locator("#news").textContent(), /: Done$/);
    const picture = at.view.getByRole("img", { name: `Picture: ${prompt}` });
    assert.match(await picture.getAttribute("src"), new RegExp(`^${MEDIA}/`));
    await at.photo("done");
    await at.fits();
    return at;
  },

  async "its buttons ask the host"(browser) {
    const at = await open(browser);
    const { task_id: id } = await at.run("nano_banana_image", { prompt: "a fox to click at" });
    await at.frames("shown").waitFor();
    const { view, page } = at;
    // With the keyboard alone.
    const order = [];
    await view.locator("body").evaluate((body) => { body.tabIndex = -1; body.focus(); });
    for (let step = 0; step < 4; step += 1) {
      await page.keyboard.press("Tab");
      const focused = view.locator(":focus-visible");
      order.push(await focused.textContent());
      assert.notEqual(await focused.evaluate((each) => getComputedStyle(each).outlineStyle), "none");
      await page.keyboard.press("Enter");
      await page.waitForTimeout(100);
    }
    await at.photo("focus");
    assert.deepEqual(order.map((each) => each.trim()), ["Save", "Open", "Use as input", "Another take"]);
    const [{ contents: [link] }] = await at.asked("ui/download-file");
    assert.equal(link.type, "resource_link");
    assert.match(link.name, /-1\.jpg$/);
    const [{ url }] = await at.asked("ui/open-link");
    assert.equal(url, link.uri);
    assert.ok(url.startsWith(`${MEDIA}/`));
    const said = (await at.asked("ui/message")).map(({ role, content }) => [role, content[0].text]);
    assert.equal(said.length, 2);
    assert.match(said[0][1], new RegExp(`task:${id}#1 as the input`));
    assert.match(said[1][1], new RegExp(`another take of task ${id}`));
    assert.ok(said.every(([role]) => role === "user"));
    await at.refuse(true);
    await view.getByRole("button", { name: "Another take" }).click();
    await view.locator(".said", { hasText: "Say it yourself: Make another take" }).waitFor();
    await view.getByRole("button", { name: "Save" }).click();
    await view.locator(".said", { hasText: "It was not saved." }).waitFor();
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    return at;
  },

  async "a host that can do little"(browser) {
    const at = await open(browser, { capabilities: { serverTools: {} } });
    await at.run("nano_banana_image", { prompt: "a fox in a small house" });
    await at.frames("shown").waitFor();
    const names = await at.view.getByRole("button").allTextContents();
    assert.deepEqual(names.map((each) => each.trim()), ["Use as input", "Another take"]);
    return at;
  },

  async "four pictures"(browser) {
    const at = await open(browser, { width: 900, context: { theme: "dark" } });
    const { task_id: id } = await at.run("seedream_image", { prompt: "Four foxes, one for each season", count: 4, aspect_ratio: "4:3" });
    await at.frames("shown").nth(3).waitFor();
    await at.photo("four-wide-dark");
    await at.fits();
    const lefts = async () => new Set(await at.view.locator(".frame").evaluateAll((all) => all.map((each) => each.getBoundingClientRect().left))).size;
    assert.equal(await lefts(), 4);
    await at.page.setViewportSize({ width: 320, height: 200 });
    await at.photo("four-narrow-dark");
    assert.equal(await lefts(), 2);
    await at.fits();
    await at.tell("ui/notifications/host-context-changed", { theme: "light" });
    await at.page.evaluate(() => { document.body.dataset.theme = "light"; });
    await at.photo("four-narrow-light");
    await at.page.setViewportSize({ width: 720, height: 200 });
    await at.photo("four-light");
    const save = at.view.getByRole("button", { name: "Save: Picture 3 of 4" });
    await save.click();
    const [{ contents: [link] }] = await at.asked("ui/download-file");
    assert.match(link.name, /-3\.png$/);
    await at.view.getByRole("button", { name: "Use as input: Picture 2 of 4" }).click();
    await at.view.locator(".said", { hasText: "Told the agent." }).waitFor();
    assert.match((await at.asked("ui/message"))[0].content[0].text, new RegExp(`task:${id}#2 `));
    return at;
  },

  async "video and sound"(browser) {
    const at = await open(browser);
    const [video, song] = await Promise.all([
      at.page.evaluate(() => call("kling_video", { prompt: "The fox looks around" })),
      at.page.evaluate(() => call("suno_music", { prompt: "A song for a fox" })),
    ]);
    const ids = [video, song].map((each) => each.structuredContent.task_id);
    await at.run("get_task", { task_ids: ids, wait_seconds: 10 });
    await at.state("Done", 1);
    await at.frames("shown").nth(2).waitFor();
    assert.deepEqual(await at.view.locator(".title").allTextContents(), ["The fox looks around", "A song for a fox"]);
    assert.equal(await at.view.locator("video[controls][aria-label='Video: The fox looks around']").count(), 1);
    assert.equal(await at.view.locator("audio[controls]").count(), 2);
    await at.photo("video-and-sound");
    await at.page.setViewportSize({ width: 320, height: 200 });
    await at.tell("ui/notifications/host-context-changed", { theme: "dark" });
    await at.photo("video-and-sound-narrow-dark");
    await at.fits();
    assert.equal(await at.view.locator("article").count(), 2);
    return at;
  },

  async "media that the host blocks"(browser) {
    const at = await open(browser, { csp: "none", system: "dark" });
    const [picture, video] = await Promise.all([
      at.page.evaluate(() => call("nano_banana_image", { prompt: "a fox behind a fence" })),
      at.page.evaluate(() => call("kling_video", { prompt: "a fox behind a fence" })),
    ]);
    const ids = [picture, video].map((each) => each.structuredContent.task_id);
    await at.run("get_task", { task_ids: ids, wait_seconds: 10 });
    await at.frames("shown").nth(1).waitFor();
    await at.view.getByRole("img", { name: "Picture: a fox behind a fence" }).waitFor();
    assert.deepEqual(await at.view.locator(".frame canvas").evaluate(({ width, height }) => [width, height]), [512, 512]);
    assert.match(await at.view.locator(".frame video").getAttribute("src"), /^data:video\/mp4;base64,/);
    assert.deepEqual(await only(at), new Set(["gallery_task"]));
    await at.photo("blocked");
    return at;
  },

  async "media that are nowhere"(browser) {
    const at = await open(browser, { csp: "none" });
    await at.result({ structuredContent: {
      task_id: "t_gone", status: "succeeded", model: "m", elapsed_seconds: 3,
      media: [{ url: `${MEDIA}/gone.png` }, { url: `${MEDIA}/gone.mp4` }, { path: "/tmp/a.mid", mime_type: "audio/midi" }],
    } });
    await at.frames("gone").nth(2).waitFor();
    const told = await at.view.locator(".frame p").allTextContents();
    assert.match(told[0], /cannot show it\. Open shows it/);
    assert.match(told[1], /cannot play it/);
    assert.equal(told[2], "No preview.");
    await at.photo("gone");
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
    await at.run("qwen_image", { prompt: "A fox that cannot be (fail)" });
    await at.state("Failed");
    await at.view.locator(".message", { hasText: "told to let this task fail" }).waitFor();
    assert.match(await at.view.locator(".advice").textContent(), /charged/);
    await at.photo("failed");
    await at.fits();
    const other = await open(browser);
    await other.run("kling_video", { prompt: "a fox", duration: 99 });
    await other.state("Failed");
    assert.match(await other.view.locator(".advice").textContent(), /^Nothing was charged\./);
    assert.equal(await other.view.getByRole("button").count(), 0);
    await other.photo("refused");
    assert.deepEqual(other.trouble, []);
    return at;
  },

  async "a price and a question"(browser) {
    const at = await open(browser);
    await at.run("kling_video", { prompt: "a fox at a price", quote: true });
    await at.state("Price");
    assert.equal(await at.view.locator(".cost").textContent(), "about 90 credits");
    assert.match(await at.view.locator(".note").textContent(), /^Nothing was made or charged\. [\d,]+ credits would be left\.$/);
    assert.equal(await at.view.getByRole("progressbar").count(), 0);
    assert.equal(await at.view.getByRole("button").count(), 0);
    await at.photo("quoted");
    await at.fits();
    // The quote of a call that was made before names its task.
    const again = await open(browser);
    await again.result({ structuredContent: { status: "quoted", task_id: "t_before", model: "m", balance_after: 7, note: "Made before." } });
    await again.state("Price");
    assert.equal(await again.view.locator(".note").textContent(), "Nothing was made or charged. 7 credits would be left. Made before.");
    assert.deepEqual(await again.asked("tools/call"), []);
    const question = await open(browser, { context: { theme: "dark" } });
    await question.result({ isError: true, structuredContent: { status: "failed", error: {
      category: "confirmation_needed", retryable: false, billed: false,
      message: "veo3 may cost 250 credits ($1.25): so much needs the user's word.",
      next_step: "Ask the user. If they agree, make the same call with confirm: 'c_abcdefgh2345' within 5 minutes.",
    } } });
    await question.state("Waits for your answer");
    assert.match(await question.view.locator(".message").textContent(), /250 credits/);
    assert.equal(await question.view.locator(".advice").textContent(), "Nothing was charged. Answer in the chat.");
    const [tone, bad] = await question.view.locator(".state").evaluate((state) => {
      const root = getComputedStyle(state);
      const probe = document.createElement("i");
      probe.style.color = "var(--bad)";
      state.append(probe);
      const colours = [root.color, getComputedStyle(probe).color];
      probe.remove();
      return colours;
    });
    assert.notEqual(tone, bad);
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
      assert.deepEqual(plain.trouble, []);
      await plain.page.context().close();
    }
    assert.deepEqual([...again.trouble, ...question.trouble], []);
    return at;
  },

  async "words"(browser) {
    const at = await open(browser);
    await at.run("suno_lyrics", { prompt: "the sea" });
    await at.view.locator(".text").first().waitFor();
    assert.match(await at.view.locator(".text").first().textContent(), /\n\n\[Verse\]\n/);
    await at.photo("words");
    // A host that passes the text alone.
    const plain = await open(browser);
    const made = await at.page.evaluate(() => call("nano_banana_image", { prompt: "only told" }));
    await plain.result({ content: made.content });
    await plain.frames("shown").waitFor();
    assert.equal(await plain.view.locator(".title").textContent(), "only told");
    await plain.result({ isError: true, content: [{ type: "text", text: "Out of order." }] });
    await plain.view.locator(".message", { hasText: "Out of order." }).waitFor();
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
      strangers: document.querySelectorAll("main img:not(.frame img), main script, main iframe").length,
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
