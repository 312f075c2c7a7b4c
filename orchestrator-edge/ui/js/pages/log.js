// One request: what became of it, each attempt on a line of time, and what was said where that was kept.

import { html, useState } from "../lib.js";
import { api, at, may } from "../api.js";
import { t, word } from "../i18n.js";
import { bytes, duration, money, number } from "../format.js";
import { useAction, useQuery } from "../query.js";
import { to } from "../router.js";
import { Badge, Button, Card, Code, Copy, Facts, Loaded, Note, Page, Tile, Time } from "../parts/base.js";
import { toastError } from "../parts/dialog.js";
import { kindOf, Outcome } from "./log-words.js";

export default function Log({ id }) {
  const log = useQuery((signal) => api.get(at("logs/{}", id), {}, { signal }), [id]);
  return html`<${Page} title=${log.data ? t("log.title", { model: log.data.model || t("log.noModel") }) : t("log.one")} back=${[to("/logs"), t("nav.logs")]}
      hint=${log.data && html`<span class="row"><${Outcome} of=${log.data} /><span>· <${Time} at=${log.data.started_at} full /></span></span>`}>
    <${Loaded} of=${log} lines=${10}>${(data) => html`<${Details} log=${data} />`}<//><//>`;
}

function Details({ log }) {
  const perSecond = log.ttft_ms !== null && log.latency_ms > log.ttft_ms ? log.completion_tokens / ((log.latency_ms - log.ttft_ms) / 1000) : null;
  return html`
    ${log.error && html`<${Note} kind=${kindOf(log) === "bad" ? "bad" : "warn"} icon="warn"><b>${word("outcome", log.error_kind || log.outcome)}</b><div class="wrap answer">${log.error}</div><//>`}
    <div class="tiles">
      <${Tile} label=${t("log.latency")} value=${duration(log.latency_ms)} sub=${t("log.overhead", { time: duration(log.overhead_ms) })} />
      <${Tile} label=${t("model.ttft")} value=${duration(log.ttft_ms)} sub=${perSecond ? t("log.perSecond", { n: number(perSecond, 1) }) : ""} />
      <${Tile} label=${t("log.attempts")} value=${number(log.attempts)} sub=${log.provider} />
      <${Tile} label=${t("dash.tokens")} value=${number(log.total_tokens)} sub=${t("model.tokensSplit", { input: number(log.prompt_tokens), output: number(log.completion_tokens) })} />
      <${Tile} label=${t("dash.cost")} value=${money(log.cost_usd)} sub=${log.price_version} />
    </div>
    <${Timeline} log=${log} />
    <div class="cols-2"><${About} log=${log} /><${Counts} log=${log} /></div>
    <${Bodies} log=${log} />`;
}

/** The whole request as one line, and below it each time that a provider was asked, where in it that was. */
function Timeline({ log }) {
  const begin = new Date(log.started_at).getTime();
  const attempts = log.tried.map((one) => ({ ...one, offset: Math.max(0, new Date(one.started_at).getTime() - begin) }));
  const whole = Math.max(log.latency_ms, ...attempts.map((one) => one.offset + one.latency_ms), 0.001);
  const bar = (kind, from, length, first) => html`<span class="track"><i class=${kind} style=${{ left: `${(100 * from) / whole}%`, width: `${Math.max(0.6, (100 * length) / whole)}%` }}></i>
    ${first !== null && html`<b style=${{ left: `${(100 * (from + first)) / whole}%` }} title=${t("log.firstAfter", { time: duration(first) })}></b>`}</span>`;
  return html`<${Card} title=${t("log.timeline")}>
    <ol class="timeline">
      <li><div class="what"><b>${t("log.request")}</b><span class="muted small">${[word("dialectName", log.dialect), word("operation", log.operation)].filter(Boolean).join(" · ")}</span></div>
        ${bar("whole", 0, log.latency_ms, log.ttft_ms)}<span class="took">${duration(log.latency_ms)}</span></li>
      ${attempts.map((one, place) => html`<li key=${place}>
        <div class="what"><span class="row"><b>${place + 1}.</b> <a class="wrap" href=${to(`/providers/${encodeURIComponent(one.provider_id)}`)}>${one.provider}</a><${Outcome} of=${one} /></span>
          <span class="muted small wrap">${[one.upstream_model, one.provider_key].filter(Boolean).join(" · ")}</span></div>
        ${bar(kindOf(one) || "none", one.offset, one.latency_ms, one.ttft_ms)}<span class="took">${duration(one.latency_ms)}</span>
        ${one.error && html`<p class="said wrap">${one.error}</p>`}</li>`)}
    </ol>
    ${attempts.length === 0 && html`<p class="muted">${t("log.nobodyAsked")}</p>`}
    <p class="muted small scale"><span>0</span><span>${duration(whole)}</span></p><//>`;
}

const id = (text) => text && html`<code class="wrap">${text}</code> <${Copy} text=${text} />`;
const found = (text, name, more) => text && html`<a class="wrap" href=${to("/logs", { [name]: text })}>${more ?? text}</a>`;

function About({ log }) {
  const tags = Object.entries(log.tags);
  return html`<${Card} title=${t("log.about")}><${Facts} rows=${[
    [t("log.request_id"), id(log.request_id)],
    [t("log.trace_id"), id(log.trace_id)],
    [t("log.session_id"), log.session_id && html`${found(log.session_id, "session_id")} <${Copy} text=${log.session_id} />`],
    [t("key.one"), log.api_key_id && html`<a class="wrap" href=${to(`/keys/${log.api_key_id}`)}>${log.api_key_name || log.api_key_id}</a>`],
    [t("team.one"), log.team],
    [t("log.endUser"), log.end_user],
    [t("model.one"), found(log.model, "model")],
    [t("log.answeredBy"), [log.provider, log.upstream_model].filter(Boolean).join(" / ")],
    [t("log.answeredModel"), log.answered_model],
    [t("log.dialect"), [word("dialectName", log.dialect), t(log.stream ? "log.streamed" : "log.whole")].join(" · ")],
    [t("log.finish"), log.finish_reason],
    [t("log.client"), [log.client_address, log.user_agent].filter(Boolean).join(" · ")],
    [t("key.tags"), tags.length ? html`<span class="row">${tags.map(([name, value]) => html`<${Badge} key=${name}>${name}: ${value}<//>`)}</span>` : null],
  ]} /><//>`;
}

function Counts({ log }) {
  return html`<${Card} title=${t("log.counts")}><${Facts} rows=${[
    [t("log.read"), number(log.prompt_tokens)],
    [t("log.cached"), log.cached_read_tokens ? number(log.cached_read_tokens) : null],
    [t("log.cacheWrite"), log.cache_write_tokens ? number(log.cache_write_tokens) : null],
    [t("log.written"), number(log.completion_tokens)],
    [t("log.reasoning"), log.reasoning_tokens ? number(log.reasoning_tokens) : null],
    [t("log.source"), log.usage_source && word("log.source", log.usage_source)],
    [t("dash.cost"), log.cost_usd === null ? t("log.noPrice") : money(log.cost_usd)],
    [t("log.price"), log.price_version && html`<code>${log.price_version}</code>`],
  ]} /><//>`;
}

/** What was said is for few eyes, and looking at it is written down: so it is asked for. */
function Bodies({ log }) {
  const [bodies, setBodies] = useState(undefined);
  const [busy, look] = useAction(async () => {
    try {
      setBodies((await api.get(at("logs/{}", log.id), { include_bodies: true })).bodies);
    } catch (error) { toastError(error); }
  });
  if (!may("admin")) return null;
  return html`<${Card} title=${t("log.bodies")}>
    ${bodies === undefined && html`<div class="row between"><p class="muted">${t("log.bodiesHint")}</p><${Button} icon="search" busy=${busy} onClick=${look}>${t("log.bodiesShow")}<//></div>`}
    ${bodies === null && html`<p class="muted">${t("log.bodiesNone")}</p>`}
    ${bodies && html`<div class="cols-2"><${Body} title=${t("log.asked")} body=${bodies.request} /><${Body} title=${t("log.answered")} body=${bodies.response} /></div>`}<//>`;
}

function Body({ title, body }) {
  if (!body) return html`<div class="stack-s"><h3>${title}</h3><p class="muted">${t("log.bodyNone")}</p></div>`;
  let text = body.text;
  try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* No JSON, or its beginning: as it is. */ }
  const cut = body.encoding === "utf-8" && new TextEncoder().encode(body.text).length < body.bytes;
  return html`<div class="stack-s"><h3>${title} <span class="muted small">${bytes(body.bytes)}${cut ? ` · ${t("log.cut")}` : ""}${body.encoding === "utf-8" ? "" : ` · ${body.encoding}`}</span></h3><${Code} text=${text} /></div>`;
}
