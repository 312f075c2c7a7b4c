// Forms: values, the API's errors at the fields that they are about, and the fields themselves.

import { html, useId, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Problem } from "./base.js";
import { Icon } from "./icons.js";

/** `const form = useForm(initial, async (values) => …)`. Names may be paths: `timeouts.connect_ms`.
 *  Gives `{ values, set(name, value), get(name), errors, error, busy, submit, dirty }`; fields take it as `form`. */
export function useForm(initial, send) {
  const [values, setValues] = useState(() => structuredClone(initial));
  const [errors, setErrors] = useState({});
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const fields = useRef(new Set());
  const submit = async (event) => {
    event?.preventDefault();
    if (busy) return;
    setBusy(true);
    setErrors({});
    setError(null);
    try {
      await send(values);
    } catch (failure) {
      const name = [...fields.current].find((field) => field === failure.field)
        ?? [...fields.current].find((field) => failure.field && failure.field.startsWith(`${field}.`));
      if (name) {
        setErrors({ [name]: failure.message });
        document.querySelector(`[data-field="${CSS.escape(name)}"]`)?.focus();
      } else setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const set = (name, value) => {
    setValues((before) => put(before, name.split("."), value));
    setErrors(({ [name]: _, ...others }) => others);
  };
  const get = (name) => name.split(".").reduce((value, part) => value?.[part], values);
  const dirty = JSON.stringify(values) !== JSON.stringify(initial);
  return { values, setValues, set, get, errors, error, busy, submit, dirty, known: (name) => fields.current.add(name) };
}

function put(values, [first, ...rest], value) {
  return { ...values, [first]: rest.length ? put(values?.[first] ?? {}, rest, value) : value };
}

/** The top fields of `after` that differ from those of `before`: what a PATCH needs to say. */
export const changes = (before, after) =>
  Object.fromEntries(Object.entries(after).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])));

/** Above the fields: an error that is about none of them. */
export const FormError = ({ form }) => form.error && html`<${Problem} error=${form.error} />`;

/** The label, the hint and the error of a field; `children` gets the attributes of its input. */
export function Field({ form, name, label, hint, children }) {
  const id = useId();
  form.known(name);
  const error = form.errors[name];
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const attributes = { id, "data-field": name, "aria-invalid": error ? "true" : undefined, "aria-describedby": about || undefined, disabled: form.locked };
  return html`<div class="field"><label for=${id}>${label}</label>${children(attributes)}
    ${error && html`<span class="error" id=${`${id}-error`} role="alert">${error}</span>`}
    ${hint && html`<span class="hint" id=${`${id}-hint`}>${hint}</span>`}</div>`;
}

/** A line of text. `mono`: names and addresses. `type`: as of an input. */
export const Text = ({ form, name, label, hint, mono, type = "text", ...rest }) => html`<${Field} ...${{ form, name, label, hint }}>${(attributes) =>
  html`<input ...${attributes} class=${`input ${mono ? "mono" : ""}`} type=${type} autocomplete="off" spellcheck=${mono ? "false" : undefined}
    value=${form.get(name) ?? ""} onInput=${(event) => form.set(name, event.target.value)} ...${rest} />`}<//>`;

/** A number; an empty field is `null`. `after`: its unit. */
export const Numeric = ({ form, name, label, hint, after, step = "1", min = "0", placeholder, ...rest }) => html`<${Field} ...${{ form, name, label, hint }}>${(attributes) => {
  const input = html`<input ...${attributes} class="input" type="number" inputmode="decimal" step=${step} min=${min} placeholder=${placeholder}
    value=${form.get(name) ?? ""} onInput=${(event) => form.set(name, event.target.value === "" ? null : Number(event.target.value))} ...${rest} />`;
  return after ? html`<div class="affix">${input}<span class="after">${after}</span></div>` : input;
}}<//>`;

/** One of some: `options=${[[value, label], …]}`. */
export const Select = ({ form, name, label, hint, options, onChange, ...rest }) => html`<${Field} ...${{ form, name, label, hint }}>${(attributes) =>
  html`<select ...${attributes} class="input" value=${form.get(name) ?? ""} onChange=${(event) => {
    form.set(name, event.target.value);
    onChange?.(event.target.value);
  }} ...${rest}>
    ${options.map(([value, text]) => html`<option key=${value} value=${value} selected=${value === (form.get(name) ?? "")}>${text}</option>`)}</select>`}<//>`;

export const TextArea = ({ form, name, label, hint, mono, rows = 3, ...rest }) => html`<${Field} ...${{ form, name, label, hint }}>${(attributes) =>
  html`<textarea ...${attributes} class=${`input ${mono ? "mono" : ""}`} rows=${rows} spellcheck=${mono ? "false" : undefined} value=${form.get(name) ?? ""}
    onInput=${(event) => form.set(name, event.target.value)} ...${rest}></textarea>`}<//>`;

/** On or off. */
export function Switch({ form, name, label, hint }) {
  form.known(name);
  return html`<div class="field"><label class="switch"><input type="checkbox" role="switch" data-field=${name} checked=${Boolean(form.get(name))} disabled=${form.locked}
    onChange=${(event) => form.set(name, event.target.checked)} /><span>${label}</span></label>
    ${form.errors[name] && html`<span class="error" role="alert">${form.errors[name]}</span>`}${hint && html`<span class="hint">${hint}</span>`}</div>`;
}

/** Several of some: `options=${[[value, label], …]}`; the value is a list. */
export function Checks({ form, name, label, hint, options }) {
  form.known(name);
  const chosen = form.get(name) ?? [];
  const onChange = (value) => (event) => form.set(name, event.target.checked ? [...chosen, value] : chosen.filter((one) => one !== value));
  return html`<fieldset class="field plain" role="group" aria-label=${label}><span class="label">${label}</span>
    <div class="row">${options.map(([value, text]) => html`<label key=${value} class="check"><input type="checkbox" checked=${chosen.includes(value)} onChange=${onChange(value)} disabled=${form.locked} /><span>${text}</span></label>`)}</div>
    ${form.errors[name] && html`<span class="error" role="alert">${form.errors[name]}</span>`}${hint && html`<span class="hint">${hint}</span>`}</fieldset>`;
}

/** A list of words. Enter or a comma ends one. `suggestions`: words that may be meant. */
export function Words({ form, name, label, hint, suggestions = [], placeholder }) {
  const [text, setText] = useState("");
  const list = useId();
  const words = form.get(name) ?? [];
  const add = (more) => {
    const fresh = more.split(/[,\s]+/).map((one) => one.trim()).filter((one) => one && !words.includes(one));
    if (fresh.length) form.set(name, [...words, ...fresh]);
    setText("");
  };
  const onKeyDown = (event) => {
    if ((event.key === "Enter" || event.key === ",") && text.trim()) {
      event.preventDefault();
      add(text);
    } else if (event.key === "Backspace" && !text && words.length) form.set(name, words.slice(0, -1));
  };
  return html`<${Field} ...${{ form, name, label, hint }}>${(attributes) => html`<div class="chips">
    ${words.map((one) => html`<span class="chip" key=${one}>${one}<button type="button" aria-label=${t("common.remove", { name: one })} onClick=${() => form.set(name, words.filter((other) => other !== one))}><${Icon} name="close" size=${13} /></button></span>`)}
    <input ...${attributes} value=${text} list=${list} autocomplete="off" spellcheck="false" placeholder=${words.length ? "" : placeholder} onKeyDown=${onKeyDown}
      onInput=${(event) => setText(event.target.value)} onBlur=${() => text.trim() && add(text)} onChange=${() => suggestions.includes(text) && add(text)} />
    <datalist id=${list}>${suggestions.filter((one) => !words.includes(one)).map((one) => html`<option key=${one} value=${one} />`)}</datalist></div>`}<//>`;
}

/** Names and values, one `name: value` a line; the value is an object. */
export function Pairs({ form, name, label, hint, rows = 3, placeholder = "name: value" }) {
  const [text, setText] = useState(() => Object.entries(form.get(name) ?? {}).map(([key, value]) => `${key}: ${value}`).join("\n"));
  const onInput = (event) => {
    setText(event.target.value);
    const pairs = event.target.value.split("\n").map((line) => line.split(/:(.*)/s)).filter(([key]) => key.trim());
    form.set(name, Object.fromEntries(pairs.map(([key, value = ""]) => [key.trim(), value.trim()])));
  };
  return html`<${Field} ...${{ form, name, label, hint }}>${(attributes) =>
    html`<textarea ...${attributes} class="input mono" rows=${rows} spellcheck="false" placeholder=${placeholder} value=${text} onInput=${onInput}></textarea>`}<//>`;
}

/** A moment, in the reader's zone; the value is RFC 3339, or `null`. */
export const Moment = ({ form, name, label, hint }) => html`<${Field} ...${{ form, name, label, hint }}>${(attributes) =>
  html`<input ...${attributes} class="input" type="datetime-local" value=${local(form.get(name))}
    onInput=${(event) => form.set(name, event.target.value ? new Date(event.target.value).toISOString() : null)} />`}<//>`;

function local(at) {
  if (!at) return "";
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** What few need, folded away. */
export const More = ({ title, open, children }) => html`<details class="more" open=${open}><summary>${title}</summary><div class="form">${children}</div></details>`;

/** Fields beside each other. */
export const Pair = ({ children }) => html`<div class="pair">${children}</div>`;
