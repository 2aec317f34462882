// Logs a person in to the library page in a browser: node login.mjs ADDRESS FOLDER CHROMIUM MODULES
// Prints which scenes were played and what went wrong in each, as JSON.
import assert from "node:assert/strict";
import path from "node:path";
import { playScenes } from "./chromium.mjs";

const [address, folder, executable, modules, ...wanted] = process.argv.slice(2);
const library = `${address}/library`;

async function logIn(page) {
  await page.locator('input[name="login"]').fill("ann");
  await page.locator('input[name="password"]').fill("any");
  await page.locator('button[type="submit"]').click();
  await allow(page);
}

// The provider asks for every client of this machine, whether it may see what it asks for.
async function allow(page) {
  await page.getByText("Continue").click();
  await page.waitForURL(library);
  await page.locator(".tile").first().waitFor();
}

const scenes = {
  async "a person logs in, sees the library, and logs out"(browser) {
    const context = await browser.newContext();
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const trouble = [];
    page.on("pageerror", (error) => trouble.push(error.message));
    // The provider's own page wants a font of another host.
    page.on("console", (message) => {
      if (message.type() === "error" && message.location().url.startsWith(address)) trouble.push(message.text());
    });

    await page.goto(library);
    await logIn(page);
    await page.waitForFunction(() => document.querySelector(".cover img")?.naturalWidth);
    await page.locator(".star").first().click();
    await page.locator('.star[aria-pressed="true"]').waitFor();
    assert.equal(await page.evaluate(() => document.cookie), "", "scripts see no cookie");
    await page.screenshot({ path: path.join(folder, "logged-in.png") });

    // In another tab, the person logs out here; the open page then says so, and leads back to the login.
    const account = await context.newPage();
    await account.goto(library);
    await account.getByRole("link", { name: "Account" }).click();
    await account.getByRole("heading", { name: "Your account" }).waitFor();
    await account.screenshot({ path: path.join(folder, "account.png") });
    await account.getByRole("button", { name: "Log out" }).click();
    await account.getByText("You are logged out here").waitFor();
    assert.deepEqual(trouble, []);
    await page.getByRole("button", { name: "Months" }).click();
    await page.getByText("You are not logged in any more.").waitFor();
    await page.screenshot({ path: path.join(folder, "logged-out.png") });
    // At the provider, the person is still logged in, so no name has to be entered.
    await page.getByRole("link", { name: "Log in" }).click();
    await allow(page);
    assert.deepEqual(trouble.splice(0).filter((each) => !each.includes("401")), []);
    return context;
  },
};

await playScenes(scenes, { executable, modules, wanted, atOnce: 1 });
