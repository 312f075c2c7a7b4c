// The dialects in which the playground asks: where, with what body, and what a piece of the answer means.
//
// A question is `{ model, system, turns: [{ role: "user" | "assistant", text }], stream, temperature, max }`. A piece of an answer is
// `{ text?, thought?, read?, written?, error? }`: text that is added, tokens counted.

const OPENAI = (question) => [...(question.system ? [{ role: "system", content: question.system }] : []), ...question.turns.map(({ role, text }) => ({ role, content: text }))];
const set = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined && value !== ""));
const parts = (texts) => texts.filter(Boolean).join("");
/** A model's name in a path; its slashes are part of it. */
const inPath = (model) => encodeURIComponent(model);

export const DIALECTS = {
  openai_chat: {
    path: () => "v1/chat/completions",
    body: (question) => ({ model: question.model, messages: OPENAI(question), ...set({ temperature: question.temperature, max_completion_tokens: question.max }), ...(question.stream ? { stream: true, stream_options: { include_usage: true } } : {}) }),
    read(piece) {
      const choice = piece.choices?.[0];
      const said = choice?.delta ?? choice?.message ?? {};
      return { text: said.content ?? "", thought: said.reasoning_content ?? said.reasoning ?? "", read: piece.usage?.prompt_tokens, written: piece.usage?.completion_tokens, finish: choice?.finish_reason };
    },
  },
  openai_responses: {
    path: () => "v1/responses",
    body: (question) => ({ model: question.model, ...set({ instructions: question.system }), input: question.turns.map(({ role, text }) => ({ role, content: text })), ...set({ temperature: question.temperature, max_output_tokens: question.max }), ...(question.stream ? { stream: true } : {}) }),
    read(piece) {
      if (piece.type === "response.output_text.delta") return { text: piece.delta };
      if (piece.type === "response.reasoning_summary_text.delta" || piece.type === "response.reasoning_text.delta") return { thought: piece.delta };
      const whole = piece.object === "response" ? piece : null;
      const response = whole ?? (/^response\.(completed|incomplete|failed)$/.test(piece.type) ? piece.response : null);
      if (!response) return {};
      const texts = (whole?.output ?? []).flatMap((item) => item.content ?? []).filter((part) => part.type === "output_text").map((part) => part.text);
      return { text: parts(texts), read: response.usage?.input_tokens, written: response.usage?.output_tokens, error: response.error?.message, finish: response.status };
    },
  },
  anthropic: {
    path: () => "v1/messages",
    headers: { "anthropic-version": "2023-06-01" },
    body: (question) => ({ model: question.model, max_tokens: question.max ?? 1024, ...set({ system: question.system }), messages: question.turns.map(({ role, text }) => ({ role, content: text })), ...set({ temperature: question.temperature }), ...(question.stream ? { stream: true } : {}) }),
    read(piece) {
      if (piece.type === "content_block_delta") return { text: piece.delta.text ?? "", thought: piece.delta.thinking ?? "" };
      if (piece.type === "message_start") return { read: piece.message?.usage?.input_tokens };
      if (piece.type === "message_delta") return { read: piece.usage?.input_tokens, written: piece.usage?.output_tokens, finish: piece.delta?.stop_reason };
      if (piece.type !== "message") return {};
      const of = (type, field) => parts((piece.content ?? []).filter((part) => part.type === type).map((part) => part[field]));
      return { text: of("text", "text"), thought: of("thinking", "thinking"), read: piece.usage?.input_tokens, written: piece.usage?.output_tokens, finish: piece.stop_reason };
    },
  },
  gemini: {
    path: (question) => `v1beta/models/${inPath(question.model)}:${question.stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    body: (question) => ({
      ...(question.system ? { systemInstruction: { parts: [{ text: question.system }] } } : {}),
      contents: question.turns.map(({ role, text }) => ({ role: role === "user" ? "user" : "model", parts: [{ text }] })),
      ...(question.temperature !== null || question.max !== null ? { generationConfig: set({ temperature: question.temperature, maxOutputTokens: question.max }) } : {}),
    }),
    read(piece) {
      const candidate = piece.candidates?.[0];
      const said = candidate?.content?.parts ?? [];
      const usage = piece.usageMetadata;
      return { text: parts(said.filter((part) => !part.thought).map((part) => part.text)), thought: parts(said.filter((part) => part.thought).map((part) => part.text)),
        read: usage?.promptTokenCount, written: usage && (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0), finish: candidate?.finishReason };
    },
  },
};

/** What an answer of any dialect says of a failure. */
export const failureOf = (piece) => {
  const error = piece?.error ?? (piece?.type === "error" ? piece : null);
  return error ? error.message ?? JSON.stringify(error) : null;
};

/** Asks. `onHead({ status, headers, ms })` once, `onPiece(piece, ms, line)` for each piece; throws what goes wrong. */
export async function ask(dialect, question, { key, signal, onHead, onPiece }) {
  const { path, body, headers, read } = DIALECTS[dialect];
  const began = performance.now();
  const answer = await fetch(new URL(`../${path(question)}`, document.baseURI), {
    method: "POST", signal, cache: "no-store",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify(body(question)),
  });
  onHead({ status: answer.status, headers: [...answer.headers], ms: performance.now() - began });
  const take = (line) => {
    const piece = JSON.parse(line);
    const failure = failureOf(piece);
    if (failure) throw new Error(failure);
    onPiece(read(piece), performance.now() - began, line);
  };
  if (!answer.ok || !(answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    const text = await answer.text();
    let told;
    try { told = JSON.parse(text); } catch { throw new Error(text.slice(0, 500) || `HTTP ${answer.status}`); }
    if (!answer.ok) throw new Error(failureOf(told) ?? `HTTP ${answer.status}`);
    return take(text);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:") && line.slice(5).trim() !== "[DONE]") take(line.slice(5).trim());
  }
}
