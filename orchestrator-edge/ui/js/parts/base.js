// The small parts: pages, cards, buttons, badges, what stands where there is nothing, times, codes to copy.

import { html, useEffect, useRef, useState } from "../lib.js";
import { t, word } from "../i18n.js";
import { dateTime, percent, relative } from "../format.js";
import { Icon } from "./icons.js";

/** A page: its title, a line about it, its actions, and a way back where it lies inside another: `back=${[href, label]}`. */
export function Page({ title, hint, actions, back, children }) {
  useEffect(() => { document.title = `${title} · LLM Orchestrator`; }, [title]);
  return html`<div class="page">
    <div class="page-head">
      <div class="titles">
        ${back && html`<a class="crumb" href=${back[0]}><${Icon} name="back" size=${14} />${back[1]}</a>`}
        <h1>${title}</h1>
        ${hint && html`<p>${hint}</p>`}
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </div>
    <div class="stack">${children}</div>
  </div>`;
}

/** A titled box. `flush`: its content reaches the border, as tables do. */
export function Card({ title, actions, flush, children, class: className = "" }) {
  return html`<section class=${`card ${className}`}>
    ${(title || actions) && html`<header><h2>${title}</h2>${actions}</header>`}
    <div class=${flush ? "body flush" : "body"}>${children}</div>
  </section>`;
}

/** A number with its name. */
export function Tile({ label, value, sub, kind = "" }) {
  return html`<div class="tile"><div class="label">${label}</div><div class=${`value ${kind && `${kind}-text`}`}>${value}</div><div class="sub">${sub ?? ""}</div></div>`;
}

/** `kind`: "", "primary", "danger", "quiet". With an icon alone, `label` is what a screen reader says. `busy`: it is being done. */
export function Button({ kind = "", size = "", icon, label, busy, disabled, children, type = "button", class: className = "", ...rest }) {
  const bare = icon && !children;
  const classes = `btn ${kind} ${size} ${bare ? "icon" : ""} ${className}`;
  return html`<button type=${type} class=${classes} disabled=${disabled || busy} aria-label=${bare ? label : undefined} title=${bare ? label : undefined}
    aria-busy=${busy ? "true" : undefined} ...${rest}>
    ${busy ? html`<${Icon} name="spinner" size=${16} class="spin" />` : icon && html`<${Icon} name=${icon} size=${16} />`}${children}
  </button>`;
}

/** A link that looks like a button. */
export function LinkButton({ kind = "", size = "", icon, label, href, children, ...rest }) {
  const bare = icon && !children;
  return html`<a class=${`btn ${kind} ${size} ${bare ? "icon" : ""}`} href=${href} aria-label=${bare ? label : undefined} title=${bare ? label : undefined} ...${rest}>
    ${icon && html`<${Icon} name=${icon} size=${16} />`}${children}
  </a>`;
}

/** `kind`: "", "ok", "warn", "bad", "accent". */
export const Badge = ({ kind = "", title, children }) => html`<span class=${`badge ${kind}`} title=${title}><span class="clip">${children}</span></span>`;

const KINDS = { healthy: "ok", degraded: "warn", unhealthy: "bad", closed: "ok", half_open: "warn", open: "bad", active: "ok", ok: "ok" };
/** A word of the API about how something is, with its colour. */
export const Status = ({ value }) => html`<span class=${`badge ${KINDS[value] ?? ""}`}><span class=${`dot ${KINDS[value] ?? ""}`}></span>${word("status", value)}</span>`;

export const Enabled = ({ value }) => html`<span class=${`badge ${value ? "ok" : ""}`}>${t(value ? "common.enabled" : "common.disabled")}</span>`;

/** How much went well, in percent: what is too little is red. */
export const Rate = ({ value }) => html`<span class=${value !== null && value !== undefined && value < 95 ? "bad-text" : ""}>${percent(value)}</span>`;

/** Where there is nothing yet: what it is, and what to do. */
export const Empty = ({ icon, title, children }) => html`<div class="empty">
  ${icon && html`<span class="icon-big"><${Icon} name=${icon} size=${36} /></span>`}<h3>${title}</h3><div class="stack-s">${children}</div></div>`;

/** What went wrong, in the API's words, and another try. */
export const Problem = ({ error, retry }) => error && html`<div class="problem" role="alert"><${Icon} name="warn" />
  <div>${explain(error)}</div>${retry && html`<${Button} size="small" icon="refresh" onClick=${retry}>${t("common.retry")}<//>`}</div>`;

/** The text of an error. */
export function explain(error) {
  if (error?.code === "unreachable") return t("link.edge");
  if (error?.code === "unavailable" && error.status === 503) return t("link.core");
  if (error?.code === "permission_denied" && error.status === 403) return `${t("error.forbidden")} ${error.message}`;
  return error?.message || String(error);
}

export const Note = ({ kind = "", icon = "info", children }) => html`<div class=${`note ${kind}`}><${Icon} name=${icon} /><div>${children}</div></div>`;

export const Skeleton = ({ lines = 3 }) => html`<div class="stack-s" aria-hidden="true">${Array.from({ length: lines }, (_, place) =>
  html`<span class="skeleton" style=${{ width: `${[92, 78, 85, 64][place % 4]}%` }}></span>`)}</div>`;

/** The content, or its loading, or its error: `<${Loaded} of=${query}>${(data) => …}<//>`. */
export function Loaded({ of, lines = 4, children }) {
  if (of.data === undefined) return of.error ? html`<${Problem} error=${of.error} retry=${of.reload} />` : html`<${Skeleton} lines=${lines} />`;
  return html`${of.error && html`<${Problem} error=${of.error} retry=${of.reload} />`}${children(of.data)}`;
}

/** A moment: "3 min ago", and the whole of it under the pointer. `full`: the other way round. */
export function Time({ at, full }) {
  if (!at) return html`<span class="muted">${t("time.never")}</span>`;
  return html`<time class="nowrap" datetime=${at} title=${full ? relative(at) : dateTime(at)}>${full ? dateTime(at) : relative(at)}</time>`;
}

export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without TLS a page has no clipboard but this one.
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Copies a text, and says that it did. */
export function Copy({ text, label, size = 15 }) {
  const [done, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = async (event) => {
    event.stopPropagation();
    event.preventDefault();
    await copy(text);
    setDone(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setDone(false), 1500);
  };
  const name = done ? t("common.copied") : label ?? t("common.copy");
  return html`<button type="button" class="copy" aria-label=${name} title=${name} onClick=${onClick}><${Icon} name=${done ? "check" : "copy"} size=${size} /></button>`;
}

/** A text to take away: code, a document. */
export const Code = ({ text }) => html`<div class="codeblock"><pre tabindex="0">${text}</pre><${CopyButton} text=${text} /></div>`;

export function CopyButton({ text, children, kind = "quiet" }) {
  const [done, setDone] = useState(false);
  const onClick = async () => {
    await copy(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<${Button} size="small" kind=${kind} icon=${done ? "check" : "copy"} label=${done ? t("common.copied") : t("common.copy")} onClick=${onClick}>
    ${children && (done ? t("common.copied") : children)}<//>`;
}

/** A secret that is shown once. */
export const Secret = ({ text }) => html`<div class="secret"><code>${text}</code><${CopyButton} text=${text} kind="primary">${t("common.copy")}<//></div>`;

/** Names and values: `rows=${[[name, value], …]}`; rows without a value are left out. */
export const Facts = ({ rows }) => html`<dl class="facts">${rows.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== "").map(([name, value]) =>
  html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}</dl>`;

/** Places beside each other: `items=${[[key, label, href], …]}`. */
export function Tabs({ items, current, label }) {
  const row = useRef(null);
  // On a phone the row is wider than the page: the place where one is must be seen.
  useEffect(() => { row.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); }, [current]);
  return html`<nav class="tabs" aria-label=${label} ref=${row}>${items.map(([key, text, href]) =>
    html`<a key=${key} href=${href} aria-current=${key === current ? "page" : undefined}>${text}</a>`)}</nav>`;
}

/** One of a few: `options=${[[value, label], …]}`. */
export const Segmented = ({ options, value, onChange, label }) => html`<div class="segmented" role="group" aria-label=${label}>${options.map(([key, text]) =>
  html`<button key=${key} type="button" aria-pressed=${String(key === value)} onClick=${() => onChange(key)}>${text}</button>`)}</div>`;

/** How much of something is used, 0 to 1 and more. */
export function Meter({ value, label }) {
  const kind = value >= 1 ? "bad" : value >= 0.8 ? "warn" : "";
  return html`<div class="meter" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(value * 100)}>
    <i class=${kind} style=${{ width: `${Math.min(100, Math.max(0, value * 100))}%` }}></i></div>`;
}

/** What happened lately, oldest first: `items=${[{ kind, title }]}`, kinds "ok", "warn", "bad", "". The places of what did not happen yet are there too. */
export function Bars({ items, places = 20, label }) {
  const shown = items.slice(-places);
  const blank = Array.from({ length: Math.max(0, places - shown.length) }, () => ({ kind: "", title: "" }));
  return html`<span class=${`bars ${places > 24 ? "many" : ""}`} role="img" aria-label=${label}>${[...blank, ...shown].map((item) => html`<i class=${item.kind} title=${item.title || undefined}></i>`)}</span>`;
}
