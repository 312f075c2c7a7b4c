// Languages. Every string that an operator reads is in i18n/en.js and i18n/zh-CN.js, under the same key.
// t("key", { name: value }) puts values in place of {name}; a string that is a list has a form for one and one for more, by `n`.

import { signal } from "./lib.js";

export const LANGUAGES = [["en", "English"], ["zh-CN", "简体中文"]];

const LOADERS = { en: () => import("../i18n/en.js"), "zh-CN": () => import("../i18n/zh-CN.js") };
let words = {};

/** The language in which the page is shown; components that read it are drawn anew when it changes. */
export const locale = signal("en");

/** The stored choice, else the browser's first language that there is. */
function preferred() {
  const stored = localStorage.getItem("language");
  if (stored && LOADERS[stored]) return stored;
  for (const language of navigator.languages ?? []) {
    if (language.toLowerCase().startsWith("zh")) return "zh-CN";
    if (language.toLowerCase().startsWith("en")) return "en";
  }
  return "en";
}

export async function setLanguage(language) {
  words = (await LOADERS[language]()).default;
  localStorage.setItem("language", language);
  document.documentElement.lang = language;
  locale.value = language;
}

/** To be waited for before anything is drawn. */
export async function startLanguage() {
  const language = preferred();
  words = (await LOADERS[language]()).default;
  document.documentElement.lang = language;
  locale.value = language;
}

export function t(key, values) {
  // Read, so that whoever draws with it is drawn anew in another language.
  void locale.value;
  let text = words[key] ?? key;
  if (Array.isArray(text)) text = String(values?.n) === "1" ? text[0] : text[1];
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : text;
}

/** Whether there is such a string: for words of the API that may be new. */
export const knows = (key) => key in words;

/** The string of `prefix.word`, or the API's own word where there is none. */
export const word = (prefix, value) => (knows(`${prefix}.${value}`) ? t(`${prefix}.${value}`) : String(value ?? ""));
