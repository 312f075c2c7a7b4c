// The same question as a program would ask it. The key stands in the environment: a sample that is pasted somewhere holds no secret.

import { DIALECTS } from "./playground-dialects.js";

const KEY = "ORCHESTRATOR_KEY";
const json = (value, indent = 2) => JSON.stringify(value, null, indent);
/** For a shell: nothing in it is read but the quote itself. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Python's words for JSON's. Only what stands outside of texts is another word. */
const python = (value, indent = "") => {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const rows = Array.isArray(value) ? value.map((one) => python(one, inner)) : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return rows.length ? `${open}\n${rows.map((row) => inner + row).join(",\n")},\n${indent}${close}` : open + close;
};
/** Fields as arguments of a call. */
const named = (body, indent = "    ") => Object.entries(body).map(([name, value]) => `${indent}${name}=${python(value, indent)},`).join("\n");

const base = () => new URL("../", document.baseURI).href.replace(/\/$/, "");

function curl(dialect, question) {
  const { path, body, headers } = DIALECTS[dialect];
  const lines = [`curl ${question.stream ? "-N " : ""}${quoted(`${base()}/${path(question)}`)}`, `-H "Authorization: Bearer $${KEY}"`, "-H 'Content-Type: application/json'",
    ...Object.entries(headers ?? {}).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`), `-d ${quoted(json(body(question)))}`];
  return lines.join(" \\\n  ");
}

const PYTHON = {
  openai_chat: (body, stream) => `from openai import OpenAI\n\nclient = OpenAI(base_url=${json(`${base()}/v1`)}, api_key=os.environ["${KEY}"])\nanswer = client.chat.completions.create(\n${named(body)}\n)\n${
    stream ? "for chunk in answer:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)" : "print(answer.choices[0].message.content)"}`,
  openai_responses: (body, stream) => `from openai import OpenAI\n\nclient = OpenAI(base_url=${json(`${base()}/v1`)}, api_key=os.environ["${KEY}"])\nanswer = client.responses.create(\n${named(body)}\n)\n${
    stream ? "for event in answer:\n    if event.type == \"response.output_text.delta\":\n        print(event.delta, end=\"\", flush=True)" : "print(answer.output_text)"}`,
  anthropic: ({ stream: _, ...body }, stream) => `import anthropic\n\nclient = anthropic.Anthropic(base_url=${json(base())}, api_key=os.environ["${KEY}"])\n${
    stream ? `with client.messages.stream(\n${named(body)}\n) as stream:\n    for text in stream.text_stream:\n        print(text, end="", flush=True)` : `answer = client.messages.create(\n${named(body)}\n)\nprint(answer.content[0].text)`}`,
  gemini: (body, stream, question) => `from google import genai\n\nclient = genai.Client(api_key=os.environ["${KEY}"], http_options={"base_url": ${json(base())}})\n${stream ? "for chunk in" : "answer ="} client.models.generate_content${stream ? "_stream" : ""}(\n    model=${json(question.model)},\n    contents=${python(body.contents, "    ")},${
    body.systemInstruction || body.generationConfig ? `\n    config=${python({ ...(body.systemInstruction ? { system_instruction: question.system } : {}), ...body.generationConfig }, "    ")},` : ""}\n)${stream ? ":\n    print(chunk.text or \"\", end=\"\", flush=True)" : "\nprint(answer.text)"}`,
};

const TYPESCRIPT = {
  openai_chat: (body, stream) => `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${json(`${base()}/v1`)}, apiKey: process.env.${KEY} });\nconst answer = await client.chat.completions.create(${json(body)});\n${
    stream ? "for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? \"\");" : "console.log(answer.choices[0].message.content);"}`,
  openai_responses: (body, stream) => `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: ${json(`${base()}/v1`)}, apiKey: process.env.${KEY} });\nconst answer = await client.responses.create(${json(body)});\n${
    stream ? "for await (const event of answer) if (event.type === \"response.output_text.delta\") process.stdout.write(event.delta);" : "console.log(answer.output_text);"}`,
  anthropic: (body, stream) => `import Anthropic from "@anthropic-ai/sdk";\n\nconst client = new Anthropic({ baseURL: ${json(base())}, apiKey: process.env.${KEY} });\nconst answer = await client.messages.create(${json(body)});\n${
    stream ? "for await (const event of answer) {\n  if (event.type === \"content_block_delta\" && event.delta.type === \"text_delta\") process.stdout.write(event.delta.text);\n}" : "for (const part of answer.content) if (part.type === \"text\") console.log(part.text);"}`,
  gemini: (body, stream, question) => {
    const config = { ...(body.systemInstruction ? { systemInstruction: question.system } : {}), ...body.generationConfig };
    const given = { model: question.model, contents: body.contents, ...(Object.keys(config).length ? { config } : {}) };
    return `import { GoogleGenAI } from "@google/genai";\n\nconst client = new GoogleGenAI({ apiKey: process.env.${KEY}, httpOptions: { baseUrl: ${json(base())} } });\nconst answer = await client.models.generateContent${stream ? "Stream" : ""}(${json(given)});\n${
      stream ? "for await (const chunk of answer) process.stdout.write(chunk.text ?? \"\");" : "console.log(answer.text);"}`;
  },
};

/** The typed contract knows no dialects. Its port is the configuration's, which the interface does not know: the usual one stands here. */
function grpcurl(question) {
  const message = (role, text) => ({ role, parts: [{ text }] });
  const request = {
    model: question.model,
    messages: [...(question.system ? [message("ROLE_SYSTEM", question.system)] : []), ...question.turns.map(({ role, text }) => message(role === "user" ? "ROLE_USER" : "ROLE_ASSISTANT", text))],
    ...(question.temperature === null ? {} : { temperature: question.temperature }),
    ...(question.max === null ? {} : { max_output_tokens: question.max }),
  };
  return [`grpcurl -plaintext -H "authorization: Bearer $${KEY}"`, `-d ${quoted(json(request))}`, `${quoted(`${location.hostname}:50051`)} orchestrator.v1.Orchestrate/${question.stream ? "StreamChat" : "Chat"}`].join(" \\\n  ");
}

export const SAMPLES = {
  curl: ["curl", curl],
  python: ["Python", (dialect, question) => `import os\n\n${PYTHON[dialect](DIALECTS[dialect].body(question), question.stream, question)}\n`],
  typescript: ["TypeScript", (dialect, question) => `${TYPESCRIPT[dialect](DIALECTS[dialect].body(question), question.stream, question)}\n`],
  grpcurl: ["grpcurl", (_, question) => grpcurl(question)],
};
