// A browser before the gateway, and the few things that every test does with it.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const { GATEWAY_REST, GATEWAY_ADMIN_KEY, CHROMIUM } = process.env;
const PATIENCE = 8000;
let browser;

export async function open() {
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}
export const close = () => browser.close();

/** Calls Admin as a program does. */
export async function admin(method, path, body, key = GATEWAY_ADMIN_KEY) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${GATEWAY_REST}/admin/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

/** A window of its own, with no memory but `state`, another's `context.storageState()`. What is wrong in it is told by `wrong`: errors of scripts, and whatever came from elsewhere. */
export async function visit({ rest = GATEWAY_REST, language = "en-US", theme = "light", width = 1280, height = 860, state } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale: language, colorScheme: theme, storageState: state });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  page.on("console", (message) => {
    // That an answer was a 4xx or 5xx, or did not come, is the test's own doing.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!/^(data:|blob:)/.test(request.url()) && new URL(request.url()).origin !== rest) wrong.push(`elsewhere: ${request.url()}`);
  });
  const base = `${rest}/admin-ui/`;
  return {
    page,
    context,
    wrong,
    base,
    /** Goes to a place of the interface. */
    go: (place) => page.goto(`${base}#${place}`),
    /** `place`: where it leads to; else to where a newcomer or an operator begins. */
    async signIn(key = GATEWAY_ADMIN_KEY, place = "") {
      await page.goto(`${base}login.html${place && `?next=${encodeURIComponent(`#${place}`)}`}`);
      await page.getByLabel(/^(Admin key|管理密钥)$/).fill(key);
      await page.keyboard.press("Enter");
    },
    /** Signed in, at a place, which is the first page that is shown: what a test finds there stood on no other. */
    async at(place, key) {
      await this.signIn(key, place);
      await page.locator(".side").waitFor({ state: "attached" });
      await page.locator("h1").waitFor();
    },
    heading: (text) => page.getByRole("heading", { level: 1, name: text, exact: true }).waitFor(),
    button: (name, within = page) => within.getByRole("button", { name, exact: true }),
    field: (name) => page.locator(`dialog [data-field="${name}"]`),
    /** The dialog that is open. */
    dialog: page.locator("dialog[open]"),
    async end() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}
