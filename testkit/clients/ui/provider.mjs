// A provider for the browser's tests: a list of models, answers whole and streamed, and faults on demand.

import http from "node:http";

const read = async (request) => {
  let text = "";
  for await (const piece of request) text += piece;
  return text ? JSON.parse(text) : {};
};

/** `{ url, key, models, failing, asked }`: what it lists and who fails may be changed at any time. */
export async function startProvider({ models = ["small", "large"], words = ["Hello", " from", " the", " provider."] } = {}) {
  const provider = { key: "sk-interface-0123456789abcdef", models, failing: new Set(), asked: [] };
  const server = http.createServer(async (request, response) => {
    const body = await read(request);
    const send = (status, answer) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    if (request.headers.authorization !== `Bearer ${provider.key}`) return send(401, { error: { message: "no such key", type: "invalid_request_error", code: "invalid_api_key" } });
    if (request.url.endsWith("/models")) return send(200, { object: "list", data: provider.models.map((id) => ({ id, object: "model" })) });
    provider.asked.push(body);
    if (provider.failing.has(body.model)) return send(503, { error: { message: "overloaded <b>now</b>", type: "server_error" } });
    const usage = { prompt_tokens: 9, completion_tokens: words.length, total_tokens: 9 + words.length };
    const base = { id: "chatcmpl-1", created: 1795000000, model: body.model };
    if (!body.stream) {
      const call = { id: "call_1", type: "function", function: { name: body.tools?.[0].function.name, arguments: '{"city":"Paris"}' } };
      const message = body.tools ? { role: "assistant", content: null, tool_calls: [call] } : { role: "assistant", content: words.join("") };
      return send(200, { ...base, object: "chat.completion", choices: [{ index: 0, message, finish_reason: body.tools ? "tool_calls" : "stop" }], usage });
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const event = (choices, more = {}) => response.write(`data: ${JSON.stringify({ ...base, object: "chat.completion.chunk", choices, ...more })}\n\n`);
    for (const word of words) {
      event([{ index: 0, delta: { role: "assistant", content: word }, finish_reason: null }]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    event([{ index: 0, delta: {}, finish_reason: "stop" }]);
    event([], { usage });
    response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  provider.url = `http://127.0.0.1:${server.address().port}/v1`;
  provider.close = () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); });
  return provider;
}
