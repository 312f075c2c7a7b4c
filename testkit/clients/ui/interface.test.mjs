// The admin interface in a browser, before a real gateway: what an operator does in it, and what goes wrong.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { admin, close, open, visit } from "./browser.mjs";
import { startProvider } from "./provider.mjs";

const { GATEWAY_REST } = process.env;
let provider;

before(async () => {
  provider = await startProvider();
  await open();
});
after(async () => {
  await close();
  await provider.close();
});

const unique = (name) => `${name}-${Math.random().toString(36).slice(2, 8)}`;

test("from nothing to an answer, by the guided path", async () => {
  const window = await visit();
  const { page, button, field, dialog } = window;
  const [name, key] = [unique("acme"), unique("ci")];
  await window.at("/start");
  await button("Add a provider").click();
  await dialog.getByRole("button", { name: /^OpenAI-compatible/ }).click();
  await field("name").fill(name);
  await field("base_url").fill(provider.url);
  await field("api_key").fill(provider.key);
  await button("Create", dialog).click();
  await dialog.waitFor({ state: "detached" });

  await button(`Import from ${name}`).click();
  await dialog.getByLabel("small").check();
  await button("Import", dialog).click();
  await dialog.waitFor({ state: "detached" });
  await page.locator(".step").nth(1).getByText("small").waitFor();

  await page.locator(".step").nth(2).getByRole("button", { name: "Add a key" }).click();
  await field("name").fill(key);
  await button("Create", dialog).click();
  const secret = await dialog.locator(".secret code").textContent();
  assert.match(secret, /^llmo_/);
  await button("Done", dialog).click();

  await page.getByRole("combobox", { name: "Model" }).selectOption("small");
  await button("Ask").click();
  await page.getByText("Hello from the provider.").waitFor();
  assert.equal(provider.asked.at(-1).model, "small");

  // The key is revoked in the interface, and refused outside of it.
  await window.go("/keys");
  await page.getByRole("link", { name: key }).click();
  await window.heading(key);
  const asked = () => fetch(`${GATEWAY_REST}/v1/models`, { headers: { authorization: `Bearer ${secret}` } });
  assert.equal((await asked()).status, 200);
  await button("Revoke").click();
  await button("Revoke", dialog).click();
  await window.heading("Keys and teams");
  assert.equal((await asked()).status, 401);
  await admin("DELETE", `providers/${(await admin("GET", `providers/${name}`)).id}`);
  await admin("DELETE", `models/${(await admin("GET", "models/small")).id}`);
  await window.end();
});

test("a provider is checked, tested for tools, given another key, and deleted by its name", async () => {
  const name = unique("tools");
  const made = await admin("POST", "providers", { name, kind: "openai_compatible", base_url: provider.url, api_key: provider.key });
  const window = await visit();
  const { page, button, field, dialog } = window;
  await window.at(`/providers/${made.id}`);
  await button("Test tools").click();
  await field("model").fill("large");
  await button("Test", dialog).click();
  await dialog.getByText(/large calls tools/).waitFor();
  await page.keyboard.press("Escape");
  await button("Check now").click();
  await page.locator(".tile").getByText("healthy").waitFor();

  await button("Add").click();
  await field("label").fill("second");
  await field("secret").fill("sk-second-0123456789abcdef");
  await button("Add", dialog).click();
  await page.getByText("sk-s…cdef").waitFor();
  assert.ok(!(await page.content()).includes("sk-second-0123456789abcdef"), "a secret is never shown");

  await button("Edit").first().click();
  await field("name").fill("not a name");
  await button("Save", dialog).click();
  await dialog.getByRole("alert").getByText(/name must be/).waitFor();
  assert.equal(await field("name").getAttribute("aria-invalid"), "true");
  await field("name").fill(name);
  await field("priority").fill("250");
  await button("Save", dialog).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal((await admin("GET", `providers/${made.id}`)).priority, 250);

  await button("Delete").first().click();
  const sure = button("Delete", dialog);
  assert.ok(await sure.isDisabled(), "until its name is typed");
  await dialog.getByLabel(/^Type/).fill(name);
  await sure.click();
  await window.heading("Providers");
  await window.end();
});

test("a model has its fall-backs, associations, limits and price", async () => {
  const [name, back] = [unique("fast"), unique("back")];
  const acme = await admin("POST", "providers", { name: unique("acme"), kind: "openai_compatible", base_url: provider.url, api_key: provider.key });
  await admin("POST", "models", { name: back });
  const window = await visit();
  const { page, button, field, dialog } = window;
  await window.at("/models?new=1");
  await field("name").fill(name);
  await field("strategy").selectOption("least_latency");
  await field("fallbacks").fill(back);
  await page.keyboard.press("Enter");
  await button("Create", dialog).click();
  await window.heading(name);
  await button("Add a provider").first().click();
  await field("provider_id").selectOption(acme.id);
  await field("provider_model").fill("large");
  await field("weight").fill("7");
  await dialog.getByLabel("Accepts images").uncheck();
  await button("Add", dialog).click();
  await page.getByRole("row", { name: /large/ }).waitFor();
  const [association] = await admin("GET", `model-providers?provider_id=${acme.id}`);
  assert.deepEqual([association.weight, association.image, association.tool_call], [7, false, true]);

  await button("Set the price").click();
  await dialog.getByLabel("Input", { exact: true }).fill("0.25");
  await dialog.getByLabel("Output", { exact: true }).fill("1.5");
  await button("Save", dialog).click();
  await page.getByText("$0.25 / $1.50").waitFor();
  const model = await admin("GET", `models/${name}`);
  assert.deepEqual([model.strategy, model.fallbacks], ["least_latency", [back]]);
  await window.end();
});

test("a team has a budget, and a key of it a new secret", async () => {
  const [team, key] = [unique("team"), unique("key")];
  const window = await visit();
  const { page, button, field, dialog } = window;
  await window.at("/keys?tab=teams");
  await button("Add a team").first().click();
  await field("name").fill(team);
  await field("budget_usd").fill("12.5");
  await field("budget_period").selectOption("day");
  await button("Create", dialog).click();
  await page.getByRole("row", { name: new RegExp(team) }).getByText("$12.50").waitFor();
  const made = await admin("POST", "keys", { name: key, team, requests_per_minute: 60 });
  await window.go(`/keys/${made.id}`);
  await window.heading(key);
  await button("New secret").click();
  await dialog.getByLabel("Keep the old secret valid for").selectOption("3600");
  await button("New secret", dialog).click();
  const secret = await dialog.locator(".secret code").textContent();
  await button("Done", dialog).click();
  for (const one of [secret, made.secret]) {
    assert.equal((await fetch(`${GATEWAY_REST}/v1/models`, { headers: { authorization: `Bearer ${one}` } })).status, 200);
  }
  await page.getByText(/The previous secret stays valid/).waitFor();
  await window.end();
});

test("a wrong key is told so, and a viewer may look and not touch", async () => {
  const viewer = await admin("POST", "admin-keys", { name: unique("vic"), role: "viewer" });
  const window = await visit();
  const { page, button } = window;
  await window.signIn("llmo_admin_wrong");
  await page.getByRole("alert").getByText("This key is not accepted.").waitFor();
  await window.at("/providers", viewer.secret);
  await page.getByText("viewer", { exact: true }).waitFor();
  await page.getByRole("link", { name: "echo" }).first().waitFor();
  assert.equal(await button("Add a provider").count(), 0);
  await window.go("/settings/audit");
  await window.heading("Settings");
  assert.equal(await page.getByRole("link", { name: "Audit log" }).count(), 0);
  // What the interface hides the core refuses.
  const status = await page.evaluate(async () => (await fetch("../admin/models", { method: "POST", headers: { "x-orchestrator-csrf": "1" }, body: '{"name":"mine"}' })).status);
  assert.equal(status, 403);
  await window.end();
});

test("a session that ended leads to the sign-in and back to where one was", async () => {
  const window = await visit();
  const { page } = window;
  await window.at("/settings/retention");
  // What it asks by itself must be over: it would be told first.
  await window.heading("Settings");
  await page.waitForLoadState("networkidle");
  const [cookie] = (await window.context.cookies(`${GATEWAY_REST}/admin/`)).filter((one) => one.name === "orchestrator_session");
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/admin"]);
  const ended = await fetch(`${GATEWAY_REST}/admin/session`, { method: "DELETE", headers: { cookie: `${cookie.name}=${cookie.value}`, "x-orchestrator-csrf": "1" } });
  assert.equal(ended.status, 204);
  await page.getByRole("link", { name: "Admin keys", exact: true }).click();
  await page.getByText("Your session is over.").waitFor();
  await page.getByLabel("Admin key", { exact: true }).fill(process.env.GATEWAY_ADMIN_KEY);
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Admin keys", exact: true, }).and(page.locator("[aria-current=page]")).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Admin key", { exact: true }).waitFor();
  await page.goto(window.base);
  await page.getByLabel("Admin key", { exact: true }).waitFor();
  await window.end();
});

test("no other site's page can change anything with the cookie", async () => {
  const window = await visit();
  await window.at("/providers");
  const sent = (headers) => window.page.evaluate(async (headers) => (await fetch("../admin/models", { method: "POST", headers, body: '{"name":"forged"}' })).status, headers);
  assert.equal(await sent({}), 403);
  assert.equal(await sent({ "content-type": "text/plain" }), 403);
  await window.end();
});

test("the configuration goes out and in, and the audit log says who did it", async () => {
  const window = await visit();
  const { page, button, dialog } = window;
  await window.at("/settings/transfer");
  const [download] = await Promise.all([page.waitForEvent("download"), button("Export").click()]);
  const file = await download.path();
  await page.locator('input[type="file"]').setInputFiles(file);
  await button("Preview").click();
  await page.getByText("This would change:").waitFor();

  const name = unique("ann");
  await page.getByRole("link", { name: "Admin keys", exact: true }).click();
  await button("Add an admin key").click();
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByLabel("Role").selectOption("operator");
  await button("Create", dialog).click();
  assert.match(await dialog.locator(".secret code").textContent(), /^llmo_admin_/);
  await button("Done", dialog).click();
  await page.getByRole("link", { name: "Audit log", exact: true }).click();
  await page.getByLabel("Kind").selectOption("admin_key");
  await page.getByRole("row", { name: new RegExp(name) }).getByText("created").waitFor();
  await window.end();
});

test("markup in names and errors is text", async () => {
  const evil = '<img src=x onerror="document.title=1">';
  const name = unique("evil");
  const model = await admin("POST", "models", { name, remark: evil });
  const acme = await admin("POST", "providers", { name: unique("acme"), kind: "openai_compatible", base_url: provider.url, api_key: provider.key });
  await admin("POST", "model-providers", { model_id: model.id, provider_id: acme.id, provider_model: "<script>alert(1)</script>" });
  await admin("POST", "teams", { name: unique("team"), remark: evil });
  const window = await visit();
  for (const place of ["/models", `/models/${model.id}`, `/providers/${acme.id}`, "/keys?tab=teams", "/settings/audit", "/providers/%3Cb%3Enobody%3C%2Fb%3E"]) {
    if (place === "/models") await window.at(place);
    else await window.go(place);
    await window.page.locator("h1").waitFor();
    await window.page.waitForTimeout(300);
    assert.equal(await window.page.locator("main img, main script").count(), 0, place);
  }
  await window.go(`/models/${model.id}`);
  await window.page.getByText(evil).waitFor();
  await window.end();
});

test("both languages, both themes, a phone's width, and the keyboard alone", async () => {
  for (const [language, theme, title] of [["zh-CN", "dark", "提供商"], ["en-US", "light", "Providers"]]) {
    const window = await visit({ language, theme, width: 390, height: 800 });
    await window.at("/providers");
    await window.heading(title);
    assert.equal(await window.page.evaluate(() => document.documentElement.lang), language === "zh-CN" ? "zh-CN" : "en");
    const dark = await window.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(dark === "rgb(14, 17, 22)", theme === "dark", dark);
    for (const place of ["/providers", "/models", "/keys", "/settings/about", "/settings/transfer", "/settings/audit", "/start", "/providers?new=1"]) {
      await window.go(place);
      await window.page.waitForTimeout(250);
      const over = await window.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, `${place} is ${over} pixels too wide`);
    }
    await window.end();
  }
  const window = await visit();
  await window.at("/providers");
  await window.page.keyboard.press("Tab");
  assert.equal(await window.page.evaluate(() => document.activeElement.className), "skip");
  await window.button("Add a provider").focus();
  await window.page.keyboard.press("Enter");
  await window.dialog.waitFor();
  await window.page.keyboard.press("Escape");
  await window.dialog.waitFor({ state: "detached" });
  assert.equal(await window.page.evaluate(() => document.activeElement.textContent.trim()), "Add a provider", "the focus comes back");
  await window.end();
});
