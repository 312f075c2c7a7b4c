// The pages that look: what passes through, what became of a request, what it cost, who is well, and a question asked in the browser.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { admin, close, open, visit } from "./browser.mjs";
import { startProvider } from "./provider.mjs";

const { GATEWAY_REST } = process.env;
const WORDS = Array.from({ length: 40 }, (_, place) => `word${place} `);
const made = [];
let good;
let bad;

before(async () => {
  [good, bad] = await Promise.all([startProvider({ words: WORDS }), startProvider()]);
  await open();
});
after(async () => {
  for (const path of made.reverse()) await admin("DELETE", path);
  await close();
  await good.close();
  await bad.close();
});

const unique = (name) => `${name}-${Math.random().toString(36).slice(2, 8)}`;

async function make(noun, body) {
  const row = await admin("POST", noun, body);
  made.push(`${noun}/${row.id}`);
  return row;
}

/** A model whose first provider always fails and whose second answers. */
async function twoProviders() {
  const [first, second, model] = [unique("first"), unique("second"), unique("shaky")];
  bad.failing.add(model);
  const providers = [
    await make("providers", { name: first, kind: "openai_compatible", base_url: bad.url, api_key: bad.key, priority: 200 }),
    await make("providers", { name: second, kind: "openai_compatible", base_url: good.url, api_key: good.key }),
  ];
  const row = await make("models", { name: model });
  for (const provider of providers) await admin("POST", "model-providers", { model_id: row.id, provider_id: provider.id, provider_model: model });
  await admin("POST", "prices", { kind: "openai_compatible", upstream_model: model, input: "1000", output: "2000" });
  made.push(`prices/openai_compatible/${model}`);
  return { first, second, model, providers };
}

const chat = (key, model, headers = {}) => fetch(`${GATEWAY_REST}/v1/chat/completions`, {
  method: "POST",
  headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
  body: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }),
});

/** What a click has the browser keep. */
async function download(page, click) {
  const [kept] = await Promise.all([page.waitForEvent("download"), click()]);
  return { name: kept.suggestedFilename(), text: await readFile(await kept.path(), "utf8") };
}

test("an answer streams into the playground, and its log shows both attempts", async () => {
  const { first, second, model } = await twoProviders();
  const window = await visit();
  const { page, button } = window;
  await window.at("/playground");
  await button("Create one").click();
  await page.getByText("A key for 12 hours was created.").waitFor();
  await page.getByRole("textbox", { name: "Your message" }).fill("Tell me");
  await page.getByRole("combobox", { name: "Model" }).fill(model);
  await button("Send").click();
  const answer = page.locator(".turn.assistant");
  await page.locator('.turn.assistant[aria-busy="true"]').getByText("word3").waitFor();
  assert.ok(!(await answer.textContent()).includes("word39"), "it is shown while it is made");
  await page.locator(".tile").getByText("$0.089").waitFor();
  await answer.getByText("word39").waitFor();
  await page.getByText(second, { exact: true }).waitFor();
  await button("Headers").click();
  await page.getByText("x-orchestrator-provider").waitFor();

  await page.getByRole("link", { name: "View log" }).click();
  await window.heading(`Request for ${model}`);
  const attempts = page.locator(".timeline li");
  assert.equal(await attempts.count(), 3);
  assert.match(await attempts.nth(1).innerText(), new RegExp(`1\\.\\s+${first}\\s+503\\s+provider failed`));
  await attempts.nth(1).getByText("overloaded <b>now</b>").waitFor();
  assert.match(await attempts.nth(2).innerText(), new RegExp(`2\\.\\s+${second}\\s+200`));
  await button("Show").click();
  await page.getByText(/^Nothing was kept/).waitFor();
  await page.getByRole("link", { name: model }).click();
  await page.getByRole("row", { name: new RegExp(model) }).getByText("2 attempts").waitFor();
  await window.end();
});

test("every dialect of the playground is answered, whole and streamed, and its samples name the question", async () => {
  const { model } = await twoProviders();
  const window = await visit();
  const { page, button } = window;
  await window.at(`/playground?model=${model}`);
  await button("Create one").click();
  await page.getByText("A key for 12 hours was created.").waitFor();
  const paths = { "OpenAI Chat": "/v1/chat/completions", "OpenAI Responses": "/v1/responses", "Anthropic Messages": "/v1/messages", Gemini: `/v1beta/models/${model}:` };
  for (const stream of [true, false]) {
    await page.getByRole("switch", { name: "Stream the answer" }).setChecked(stream);
    for (const [dialect, path] of Object.entries(paths)) {
      await button(dialect).click();
      await page.getByRole("textbox", { name: "Your message" }).fill(`It's ${dialect}`);
      await page.keyboard.press("Control+Enter");
      await page.locator(".turn.assistant").last().getByText("word39").waitFor();
      await page.locator(".tile", { hasText: "Total time" }).getByText(/ms|s$/).waitFor();
      assert.equal(await page.locator(".problem").count(), 0, dialect);
      for (const sample of ["curl", "Python", "TypeScript", "grpcurl"]) {
        await button(sample).click();
        const text = await page.locator(".codeblock pre").last().textContent();
        assert.ok(text.includes(model) && text.includes(dialect) && text.includes("ORCHESTRATOR_KEY"), `${sample}: ${text}`);
        if (sample === "curl") assert.ok(text.includes(path) && text.includes("It'\\''s"), text);
      }
      await button("New conversation").click();
    }
  }
  await page.getByRole("combobox", { name: "Model" }).fill("nobody/at-all");
  await page.getByRole("textbox", { name: "Your message" }).fill("Hello?");
  await button("Send").click();
  await page.getByRole("alert").getByText(/nobody/).waitFor();
  await window.end();
});

test("logs are found by the filters in the address, come by themselves, and go into a file", async () => {
  const { model, second } = await twoProviders();
  const key = await make("keys", { name: unique("caller"), log_bodies: true, tags: { env: "test" } });
  const session = unique("session");
  await (await chat(key.secret, model, { "x-session-id": session })).text();
  await (await chat(key.secret, unique("nothing"))).text();
  const window = await visit();
  const { page, button } = window;
  await window.at(`/logs?api_key=${key.name}`);
  const rows = page.locator("main tbody tr");
  const until = async (count) => {
    for (let tries = 0; (await rows.count()) !== count; tries += 1) {
      assert.ok(tries < 40, `${await rows.count()} rows, not ${count}`);
      await page.waitForTimeout(200);
      if (tries % 5 === 4) await button("Refresh").click();
    }
  };
  await until(2);
  await page.getByLabel("Any status").selectOption("4xx");
  await rows.getByText("not found").waitFor();
  await until(1);
  assert.match(page.url(), /status=4xx/);
  await page.reload();
  await until(1);
  await button("Clear").click();
  await page.getByLabel("Kind of id").selectOption("session_id");
  await page.getByLabel("Find by id").fill(session);
  await page.keyboard.press("Enter");
  await until(1);
  await rows.getByText(second).waitFor();
  const csv = await download(page, () => page.getByRole("link", { name: "CSV" }).click());
  assert.match(csv.name, /\.csv$/);
  assert.equal(csv.text.trim().split("\r\n").length, 2, csv.text);
  assert.ok(csv.text.includes(session) && csv.text.includes(model));
  const lines = await download(page, () => page.getByRole("link", { name: "JSON lines" }).click());
  assert.equal(JSON.parse(lines.text).session_id, session);

  // What was said, for an admin's eyes.
  await rows.first().click();
  await button("Show").click();
  await page.getByText('"content": "Hello"').waitFor();
  await page.getByText("env: test").waitFor();

  // Those that end from now on come by themselves.
  await window.go(`/logs?api_key=${key.name}&live=1`);
  await page.getByText("Requests appear here as they end.").waitFor();
  await (await chat(key.secret, model)).text();
  await page.locator("main tbody tr.fresh").first().waitFor();
  await button("Stop").click();
  assert.doesNotMatch(page.url(), /live/);
  await window.end();
});

test("usage is summed by any grouping, and written as a file that a spreadsheet takes for text", async () => {
  const { model } = await twoProviders();
  const key = await make("keys", { name: `=${unique("sum")}`, tags: { cell: "west" } });
  for (let times = 0; times < 3; times += 1) await (await chat(key.secret, model)).text();
  const window = await visit();
  const { page, button } = window;
  await window.at("/usage?by=model,key&range=24h&metric=requests");
  const row = page.getByRole("row", { name: new RegExp(`${model} · ${key.name}`) });
  await row.getByText("$0.267").waitFor();
  await row.getByText("120", { exact: true }).waitFor();
  await page.locator(".chart canvas").waitFor();
  const csv = await download(page, () => button("CSV").click());
  const line = csv.text.split("\r\n").find((one) => one.includes(key.name));
  assert.match(csv.text, /^start,model,api_key_id,api_key_name,requests,/);
  assert.ok(line.includes(`,'${key.name},3,3,0,`), line);
  await page.getByRole("group", { name: "Group by" }).getByRole("button", { name: "Key", exact: true }).click();
  await page.getByRole("row", { name: new RegExp(`${model} \\d`) }).waitFor();
  await page.getByLabel("or by a tag").fill("cell");
  await page.keyboard.press("Enter");
  await page.getByRole("row", { name: /west/ }).waitFor();
  await button("Each period").click();
  await page.getByRole("columnheader", { name: "Begins" }).waitFor();
  await window.end();
});

test("the checker is set, a provider is asked now, and its faults are forgiven", async () => {
  const { first, second, model, providers } = await twoProviders();
  const before = await admin("GET", "health-check/config");
  const window = await visit();
  const { page, button } = window;
  await window.at("/health");
  const interval = page.locator('[data-field="interval_minutes"]');
  await interval.fill("0");
  await button("Save").click();
  await page.getByRole("alert").getByText(/interval_minutes/).waitFor();
  await interval.fill("17");
  await button("Save").click();
  await page.getByText("Saved.").waitFor();
  assert.equal((await admin("GET", "health-check/config")).interval_minutes, 17);
  await admin("PUT", "health-check/config", before);

  await button(`Check now: ${second}`).click();
  await page.getByText(new RegExp(`${second}: It answers, after`)).waitFor();
  await button(`Check now: ${first}`).click();
  await page.getByText(`${first}: It does not answer well.`).waitFor();
  const row = page.getByRole("row", { name: new RegExp(`^${first}`) }).first();
  await row.getByText("overloaded <b>now</b>").waitFor();
  await button(`Reset ${first}`).click();
  await page.getByText("The breakers are closed.").waitFor();
  assert.equal((await admin("GET", `health/${providers[0].id}`)).error_count, 0);
  bad.failing.delete(model);
  await button(`Check now: ${first}`).click();
  await page.getByText(new RegExp(`${first}: It answers, after`)).waitFor();
  await window.end();
});

test("the dashboard counts, and its alerts are taken off by who has seen them", async () => {
  const { model } = await twoProviders();
  const key = await make("keys", { name: unique("counted") });
  for (let times = 0; times < 4; times += 1) await (await chat(key.secret, model)).text();
  // A provider that refuses our key is told of.
  const refused = unique("refused");
  const provider = await make("providers", { name: refused, kind: "openai_compatible", base_url: good.url, api_key: "sk-wrong-0123456789abcdef" });
  const row = await make("models", { name: refused });
  await admin("POST", "model-providers", { model_id: row.id, provider_id: provider.id, provider_model: "small" });
  await (await chat(key.secret, refused)).text();
  const window = await visit();
  const { page, button } = window;
  await window.at("/dashboard?by=key");
  await page.getByRole("row", { name: new RegExp(key.name) }).getByText("5", { exact: true }).waitFor({ timeout: 20000 });
  await page.locator(".chart canvas").nth(4).waitFor();
  const alert = page.locator(".alerts li", { hasText: refused });
  await alert.getByText("Key refused by its provider").waitFor({ timeout: 20000 });
  await button("Acknowledge", alert).click();
  await alert.waitFor({ state: "detached" });
  await button("7 days").click();
  assert.match(page.url(), /range=7d/);
  await page.getByRole("link", { name: key.name }).click();
  await window.heading("Logs");
  assert.match(page.url(), new RegExp(`api_key=${key.id}`));
  await window.end();
});

test("a viewer sees all of it and changes none of it", async () => {
  const viewer = await make("admin-keys", { name: unique("vera"), role: "viewer" });
  const { model } = await twoProviders();
  const key = await make("keys", { name: unique("seen") });
  const id = (await chat(key.secret, model)).headers.get("x-request-id");
  const window = await visit();
  const { page, button } = window;
  await window.at("/health", viewer.secret);
  await page.getByRole("table").first().getByText("healthy").first().waitFor();
  assert.equal(await page.getByRole("button", { name: /Check|Save|Reset/ }).count(), 0);
  assert.ok(await page.locator('[data-field="interval_minutes"]').isDisabled());
  await window.go("/playground");
  await page.getByLabel("Your API key").fill(key.secret);
  assert.equal(await button("Create one").count(), 0);
  await page.getByRole("combobox", { name: "Model" }).fill(model);
  await page.getByRole("textbox", { name: "Your message" }).fill("May I?");
  await button("Send").click();
  await page.locator(".turn.assistant").getByText("word39").waitFor();
  await window.go(`/logs/${id}`);
  await window.heading(`Request for ${model}`);
  assert.equal(await page.getByText("Request and response bodies").count(), 0);
  await window.go("/dashboard");
  await page.locator(".chart canvas").first().waitFor();
  assert.equal(await button("Acknowledge").count(), 0);
  await window.end();
});
