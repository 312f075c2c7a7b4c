// Every page, in both themes: nothing that axe-core finds serious, nothing from elsewhere, no markup of others, and little to load.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { admin, close, open, visit } from "./browser.mjs";
import { startProvider } from "./provider.mjs";

const { GATEWAY_REST } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const EVIL = '<img src=x onerror="document.title=666"><script>document.title=666</script>';
const PLACES = ["/dashboard", "/start", "/providers", "/providers?new=1", "/models", "/models?new=1", "/keys", "/keys?new=1", "/keys?tab=teams", "/logs", "/logs?live=1", "/usage", "/usage?by=tag:evil", "/health", "/playground",
  "/settings/about", "/settings/transfer", "/settings/retention", "/settings/log-level", "/settings/prices", "/settings/admin-keys", "/settings/audit", "/nothing-here"];
const made = [];
const ids = {};
let provider;

const unique = (name) => `${name}-${Math.random().toString(36).slice(2, 8)}`;

/** A provider, a model, a key, a team and requests, with markup wherever a name or a text may hold some. */
before(async () => {
  provider = await startProvider({ words: ["Hello ", EVIL] });
  await open();
  const make = async (noun, body) => {
    const row = await admin("POST", noun, body);
    made.push(`${noun}/${row.id}`);
    return row;
  };
  const name = unique("evil");
  const acme = await make("providers", { name, kind: "openai_compatible", base_url: provider.url, api_key: provider.key });
  const model = await make("models", { name, remark: EVIL });
  await admin("POST", "model-providers", { model_id: model.id, provider_id: acme.id, provider_model: EVIL });
  const team = unique("team");
  await make("teams", { name: team, remark: EVIL });
  const key = await make("keys", { name: unique(EVIL), owner: EVIL, team, tags: { evil: EVIL }, log_bodies: true, budget_usd: 0.000001, budget_period: "day" });
  provider.failing.add(EVIL);
  const ask = (model, more) => fetch(`${GATEWAY_REST}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key.secret}`, "content-type": "application/json", "user-agent": EVIL, "x-session-id": EVIL, ...more },
    body: JSON.stringify({ model, user: EVIL, messages: [{ role: "user", content: EVIL }] }),
  });
  const answer = await ask(name);
  await answer.text();
  await (await ask(EVIL)).text();
  await admin("POST", `providers/${acme.id}/check`).catch(() => {});
  Object.assign(ids, { log: answer.headers.get("x-request-id"), provider: acme.id, model: model.id, key: key.id, secret: key.secret, name });
  for (let tries = 0; tries < 50; tries += 1) {
    if ((await admin("GET", `logs?request_id=${ids.log}`)).length) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});
after(async () => {
  for (const path of made.reverse()) await admin("DELETE", path);
  await close();
  await provider.close();
});

const places = () => [...PLACES, `/providers/${ids.provider}`, `/models/${ids.model}`, `/keys/${ids.key}`, `/logs/${ids.log}`];

/** What axe-core finds, in a line each. */
async function check(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.filter((one) => one.impact === "serious" || one.impact === "critical").flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")} ${node.failureSummary.split("\n")[1] ?? ""}`));
}

async function arrive(window, place) {
  await window.go(place);
  await window.page.locator("h1, .empty h3").first().waitFor();
  await window.page.waitForTimeout(350);
  await window.page.locator("main .skeleton").first().waitFor({ state: "detached" }).catch(() => {});
}

for (const [theme, language] of [["light", "en-US"], ["dark", "zh-CN"]]) {
  test(`axe-core finds nothing serious on any page, ${theme}`, async () => {
    const window = await visit({ theme, language });
    await window.signIn("wrong");
    await window.page.getByRole("alert").waitFor();
    const found = (await check(window.page)).map((one) => `login: ${one}`);
    await window.at("/dashboard");
    for (const place of places()) {
      await arrive(window, place);
      found.push(...(await check(window.page)).map((one) => `${place}: ${one}`));
    }
    assert.deepEqual(found, []);
    await window.end();
  });
}

test("markup that others wrote is text on every page", async () => {
  const window = await visit();
  const { page } = window;
  await window.at("/dashboard");
  for (const place of [...places(), "/dashboard?by=key", "/usage?by=key,team&rows=each", `/logs?session_id=${encodeURIComponent(EVIL)}`, `/logs?model=${encodeURIComponent(EVIL)}`, `/logs/${encodeURIComponent(EVIL)}`]) {
    await arrive(window, place);
    assert.equal(await page.locator("main img, main script, main [onerror], dialog img").count(), 0, place);
    assert.notEqual(await page.title(), "666", place);
  }
  await arrive(window, `/logs/${ids.log}`);
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.locator(".codeblock").first().waitFor();
  assert.ok((await page.locator("main").innerText()).includes("<img src=x"), "it is there, as text");
  await window.go(`/playground?model=${ids.name}`);
  await page.getByLabel("Your API key").fill(ids.secret);
  await page.getByRole("textbox", { name: "Your message" }).fill(EVIL);
  await page.keyboard.press("Control+Enter");
  await page.locator(".turn, main .problem").last().waitFor();
  await page.waitForTimeout(300);
  assert.equal(await page.locator("main img, main script").count(), 0);
  await window.end();
});

test("no page is wider than a phone", async () => {
  const window = await visit({ width: 390, height: 800 });
  await window.at("/dashboard");
  const wide = [];
  for (const place of places()) {
    await arrive(window, place);
    const over = await window.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (over > 0) wide.push(`${place} is ${over} pixels too wide`);
  }
  assert.deepEqual(wide, []);
  await window.end();
});

test("the dashboard, charts and all, is small and soon there", async () => {
  const before = await visit();
  await before.at("/dashboard");
  // Signed in already, but nothing is kept of the files.
  const window = await visit({ state: await before.context.storageState() });
  const client = await window.context.newCDPSession(window.page);
  await client.send("Network.enable");
  // The interface itself; how much data there is to show depends on the gateway.
  const ours = new Set();
  let [bytes, files, data] = [0, 0, 0];
  client.on("Network.requestWillBeSent", ({ requestId, request }) => {
    if (request.url.includes("/admin-ui/")) ours.add(requestId);
  });
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (!ours.has(requestId)) {
      data += encodedDataLength;
      return;
    }
    bytes += encodedDataLength;
    files += 1;
  });
  await window.go("/dashboard");
  await window.page.locator(".chart canvas").first().waitFor();
  const paint = await window.page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  console.log(`dashboard: ${(bytes / 1024).toFixed(1)} KiB in ${files} files, with its charts; ${(data / 1024).toFixed(1)} KiB of data; first paint after ${paint.toFixed(0)} ms`);
  assert.ok(files > 20 && bytes > 50_000 && bytes <= 100 * 1024, `${bytes} bytes in ${files} files`);
  // What this machine does in half a second another may do later.
  assert.ok(paint < 2000, `${paint} ms`);
  await before.end();
  await window.end();
});
