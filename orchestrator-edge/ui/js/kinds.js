// Kinds of providers and dialects, as the API names them.

import { t } from "./i18n.js";

/** `[kind, its vendor's name, where it is, the preset it stands for]`: what one chooses from when a provider is made. */
export const KINDS = [
  { key: "openai", kind: "openai", name: "OpenAI", base: "https://api.openai.com/v1" },
  { key: "anthropic", kind: "anthropic", name: "Anthropic", base: "https://api.anthropic.com" },
  { key: "gemini", kind: "gemini", name: "Google Gemini", base: "https://generativelanguage.googleapis.com" },
  { key: "azure_openai", kind: "azure_openai", name: "Azure OpenAI", base: "", sample: "https://NAME.openai.azure.com" },
  { key: "deepseek", kind: "openai_compatible", preset: "deepseek", name: "DeepSeek", base: "" },
  { key: "mistral", kind: "openai_compatible", preset: "mistral", name: "Mistral", base: "" },
  { key: "groq", kind: "openai_compatible", preset: "groq", name: "Groq", base: "" },
  { key: "xai", kind: "openai_compatible", preset: "xai", name: "xAI", base: "" },
  { key: "openrouter", kind: "openai_compatible", preset: "openrouter", name: "OpenRouter", base: "" },
  { key: "ollama", kind: "openai_compatible", preset: "ollama", name: "Ollama", base: "", keyless: true },
  { key: "vllm", kind: "openai_compatible", preset: "vllm", name: "vLLM", base: "", keyless: true },
  { key: "llamacpp", kind: "openai_compatible", preset: "llamacpp", name: "llama.cpp", base: "", keyless: true },
  { key: "openai_compatible", kind: "openai_compatible", name: "OpenAI-compatible", base: "", sample: "https://llm.example.com/v1" },
  { key: "echo", kind: "echo", name: "Echo", base: "", keyless: true, without: true },
];

/** What one calls the kind of a provider. */
export function kindName(provider) {
  const preset = provider.options?.preset;
  const found = KINDS.find((one) => one.kind === provider.kind && (one.preset ?? null) === (preset ?? null));
  return found?.name ?? (preset || provider.kind);
}

export const DIALECTS = ["openai_chat", "openai_responses", "openai_embeddings", "anthropic", "gemini", "gemini_embeddings"];
export const OPERATIONS = ["chat", "completions", "embeddings", "models", "choose_providers"];

/** Options of a select whose first says that nothing is chosen. */
export const orNone = (options, none = t("common.none")) => [["", none], ...options];
