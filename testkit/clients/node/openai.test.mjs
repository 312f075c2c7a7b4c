// The official OpenAI SDK for Node, unmodified: it must not notice that a gateway answers.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { GATEWAY_REST, GATEWAY_KEY, PROVIDER_CONTROL } = process.env;
const baseURL = `${GATEWAY_REST}/v1`;
const client = new OpenAI({ baseURL, apiKey: GATEWAY_KEY });
const messages = [{ role: "user", content: "Hello" }];
const tools = [{
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
}];

/** A request's id, and what the provider saw under it. */
class Trace {
  id = randomUUID();
  options = { headers: { "x-request-id": this.id } };

  async seen() {
    return (await fetch(`${PROVIDER_CONTROL}/seen?request_id=${this.id}`)).json();
  }

  async theOnlyOne() {
    const seen = await this.seen();
    assert.equal(seen.length, 1);
    return seen[0];
  }

  /** The provider's connection is closed within a second from now. */
  async closes() {
    const end = Date.now() + 1000;
    while (!(await this.theOnlyOne()).closed) {
      assert.ok(Date.now() < end, "the provider's connection was not closed in time");
      await sleep(10);
    }
  }
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
const numbers = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

test("a whole chat", async () => {
  const trace = new Trace();
  const answer = await client.chat.completions.create({ model: "chat", messages }, trace.options);
  assert.equal(answer.choices[0].message.content, "Hello! Grüße, 世界 👋");
  assert.deepEqual(numbers(answer.usage), [11, 7, 18]);
  assert.equal(answer._request_id, trace.id);
  assert.deepEqual((await trace.theOnlyOne()).body, { model: "chat-upstream", messages });
});

test("a streamed chat, with usage where it was asked for and only there", async () => {
  const plain = await collect(await client.chat.completions.create({ model: "chat", messages, stream: true }));
  assert.equal(textOf(plain), "Hello there");
  assert.ok(plain.every((chunk) => chunk.choices.length === 1 && chunk.usage == null));
  const options = { include_usage: true };
  const counted = await collect(await client.chat.completions.create({ model: "chat", messages, stream: true, stream_options: options }));
  assert.equal(textOf(counted), "Hello there");
  assert.deepEqual(numbers(counted.at(-1).usage), [11, 7, 18]);
});

test("signs of life before the first content do not trouble the SDK", async () => {
  const stream = await client.chat.completions.create({ model: "slow-start", messages, stream: true });
  assert.equal(textOf(await collect(stream)), "Hello there");
});

test("tool calls over two turns", async () => {
  const trace = new Trace();
  const first = await client.chat.completions.create({ model: "tools", messages, tools });
  const second = await client.chat.completions.create({ model: "tools", messages: after(first.choices[0].message), tools }, trace.options);
  assert.equal(second.choices[0].message.content, "21.5 degrees.");
  const said = (await trace.theOnlyOne()).body.messages.slice(2);
  assert.deepEqual(said.map((result) => result.tool_call_id), ["call_1", "call_2"]);
});

test("streamed tool calls over two turns", async () => {
  const first = await client.chat.completions.stream({ model: "tools", messages, tools }).finalMessage();
  const second = await client.chat.completions.stream({ model: "tools", messages: after(first), tools }).finalMessage();
  assert.equal(second.content, "Hello there");
});

test("the SDK runs the tools by itself", async () => {
  const asked = [];
  const get_weather = {
    type: "function",
    function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => (asked.push(city), "21.5") },
  };
  const runner = client.chat.completions.runTools({ model: "tools", messages, tools: [get_weather] });
  assert.equal(await runner.finalContent(), "21.5 degrees.");
  assert.deepEqual(asked, ["Zürich", "Łódź"]);
});

/** The conversation once the calls of the assistant's message have been made. */
function after(message) {
  const cities = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  assert.deepEqual(cities, ["Zürich", "Łódź"]);
  const calls = message.tool_calls.map(({ id, function: { name, arguments: said } }) => ({
    id, type: "function", function: { name, arguments: said },
  }));
  const results = calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "21.5" }));
  return [...messages, { role: "assistant", tool_calls: calls }, ...results];
}

test("structured output is parsed", async () => {
  const trace = new Trace();
  const Weather = z.object({ city: z.string(), celsius: z.number() });
  const response_format = zodResponseFormat(Weather, "weather");
  const answer = await client.chat.completions.parse({ model: "structured", messages, response_format }, trace.options);
  assert.deepEqual(answer.choices[0].message.parsed, { city: "Zürich", celsius: 21.5 });
  const { json_schema } = (await trace.theOnlyOne()).body.response_format;
  assert.deepEqual([json_schema.name, json_schema.strict], ["weather", true]);
});

test("embeddings in the SDK's default encoding, and as numbers", async () => {
  const trace = new Trace();
  const answer = await client.embeddings.create({ model: "embeddings", input: "hello", dimensions: 4 }, trace.options);
  assert.deepEqual(answer.data[0].embedding.map((number) => Math.round(number * 1e4) / 1e4), [0.0125, -0.5, 0.25, 1]);
  assert.equal((await trace.theOnlyOne()).body.encoding_format, "base64");
  const two = await client.embeddings.create({ model: "embeddings", input: ["hello", "世界"], dimensions: 4, encoding_format: "float" });
  assert.deepEqual(two.data.map((vector) => vector.embedding), [[0.0125, -0.5, 0.25, 1], [0.0125, -0.5, 0.25, 1]]);
});

test("the list of models and one of them", async () => {
  const ids = (await collect(client.models.list())).map((model) => model.id);
  for (const id of ["chat", "tools", "embeddings"]) assert.ok(ids.includes(id), id);
  assert.equal((await client.models.retrieve("chat")).owned_by, "chat");
});

test("legacy completions, whole and streamed", async () => {
  const request = { model: "completions", prompt: "Once upon", max_tokens: 8 };
  const whole = await client.completions.create(request);
  assert.equal(whole.choices[0].text, " a time, in Łódź");
  const chunks = await collect(await client.completions.create({ ...request, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), " a");
});

// The SDK would try the last four again by itself, but for `x-should-retry: false`: the provider is asked once.
const failures = [
  ["no-such-model", OpenAI.NotFoundError, 404, "model_not_found", 0],
  ["too-long", OpenAI.BadRequestError, 400, "context_length_exceeded", 1],
  ["rejects-key", OpenAI.AuthenticationError, 401, "invalid_api_key", 1],
  ["rate-limited", OpenAI.RateLimitError, 429, "rate_limit_exceeded", 1],
  ["faulty", OpenAI.InternalServerError, 500, null, 1],
  ["hangs-up", OpenAI.InternalServerError, 502, undefined, 1],
  ["too-slow", OpenAI.InternalServerError, 504, undefined, 1],
];
for (const [model, exception, status, code, asked] of failures) {
  for (const stream of [false, true]) {
    test(`${model}${stream ? ", streamed," : ""} is a ${exception.name}`, async () => {
      const trace = new Trace();
      const failure = await client.chat.completions.create({ model, messages, stream }, trace.options).then(
        () => assert.fail("it succeeded"),
        (error) => error,
      );
      assert.equal(failure.constructor, exception, failure);
      assert.equal(failure.status, status);
      if (code) assert.equal(failure.code, code);
      assert.equal(failure.requestID, trace.id);
      assert.equal((await trace.seen()).length, asked);
    });
  }
}

test("a wrong key is an AuthenticationError", async () => {
  await assert.rejects(new OpenAI({ baseURL, apiKey: "wrong" }).models.list(), OpenAI.AuthenticationError);
});

test("a stream that fails midway throws after its content", async () => {
  const said = [];
  await assert.rejects(async () => {
    for await (const chunk of await client.chat.completions.create({ model: "breaks-off", messages, stream: true })) said.push(chunk);
  }, OpenAI.APIError);
  assert.equal(textOf(said), "Hello");
});

test("the SDK's time-out reaches the provider", async () => {
  const trace = new Trace();
  const options = { ...trace.options, timeout: 500, maxRetries: 0 };
  const asked = client.chat.completions.create({ model: "silent", messages }, options);
  await assert.rejects(asked, OpenAI.APIConnectionTimeoutError);
  await trace.closes();
});

test("an aborted stream reaches the provider within a second", async () => {
  const trace = new Trace();
  const stream = await client.chat.completions.create({ model: "endless", messages, stream: true }, trace.options);
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].delta.content, "on ");
    assert.equal((await trace.theOnlyOne()).closed, false);
    break;
  }
  stream.controller.abort();
  await trace.closes();
});
