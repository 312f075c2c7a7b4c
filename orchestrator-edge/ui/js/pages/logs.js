// Request logs: filtered by what stands in the address, page by page or as they come.

import { html, useEffect, useState } from "../lib.js";
import { adminUrl, api, revived } from "../api.js";
import { t, word } from "../i18n.js";
import { clockTime, compact, dateTime, duration, money, number, relative } from "../format.js";
import { usePages, useQuery } from "../query.js";
import { HOUR, RANGES } from "../ranges.js";
import { place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Empty, LinkButton, Note, Page } from "../parts/base.js";
import { Icon } from "../parts/icons.js";
import { Pager, Table } from "../parts/table.js";
import { Outcome } from "./log-words.js";

const FIELDS = ["model", "provider", "api_key", "status", "outcome", "stream", "request_id", "session_id", "trace_id"];
const IDS = ["request_id", "session_id", "trace_id"];
const OUTCOMES = ["ok", "truncated", "cancelled", "invalid_request", "unauthenticated", "permission_denied", "not_found", "rate_limited", "unavailable", "provider_failed", "timeout", "internal"];
const STATUSES = ["2xx", "4xx", "429", "499", "5xx"];
const TAIL_ROWS = 300;

/** A cell without a value: on a phone its line is left out. */
const none = () => html`<span class="nil muted">–</span>`;

/** The API's filter; `tail` takes no times. */
function filterOf(query, timed) {
  const filter = Object.fromEntries(FIELDS.map((name) => [name, query[name]]).filter(([, value]) => value));
  if (!timed) return filter;
  // By the minute: the same filter is the same list while one reads.
  const now = Math.ceil(Date.now() / 60000) * 60000;
  if (RANGES[query.range]) filter.from = new Date(now - RANGES[query.range].hours * HOUR).toISOString();
  else if (query.range === "1h") filter.from = new Date(now - HOUR).toISOString();
  if (query.from) filter.from = query.from;
  if (query.to) filter.to = query.to;
  return filter;
}

export default function Logs() {
  const { query } = place.value;
  const live = query.live === "1";
  // What the list is of stays until one asks anew.
  const [asked, setAsked] = useState(0);
  const key = JSON.stringify([query, asked]);
  const [filter, setFilter] = useState(() => filterOf(query, true));
  useEffect(() => setFilter(filterOf(place.value.query, true)), [key]);
  const pages = usePages("logs", filter, { size: 50 });
  const tail = useTail(filterOf(query, false), live);
  const shown = live ? merged(tail.rows, pages.page === 1 ? pages.items : []) : pages.items;
  const refresh = () => {
    setAsked(asked + 1);
    pages.reload();
  };
  return html`<${Page} title=${t("nav.logs")} hint=${t("logs.hint")} actions=${html`
      <${Button} icon=${live ? "stop" : "play"} kind=${live ? "primary" : ""} aria-pressed=${String(live)} onClick=${() => setQuery({ live: live ? undefined : "1" })}>${t(live ? "logs.stop" : "logs.live")}<//>
      <${Button} icon="refresh" label=${t("logs.refresh")} busy=${pages.loading && pages.items !== undefined} onClick=${refresh} /><${Export} filter=${filter} />`}>
    <div><${Filters} query=${query} />
    ${live && html`<p class="live-line" role="status"><span class=${`dot live ${tail.open ? "ok" : "warn"}`}></span>${tail.problem || t(tail.open ? "logs.listening" : "logs.connecting")}</p>`}
    <${Card} flush class="logs"><${List} rows=${shown} fresh=${tail.fresh} pages=${pages} live=${live} /><//></div><//>`;
}

const today = (at) => new Date(at).toDateString() === new Date().toDateString();

function merged(fresh, items) {
  const known = new Set(fresh.map((row) => row.id));
  return [...fresh, ...(items ?? []).filter((row) => !known.has(row.id))].slice(0, TAIL_ROWS);
}

/** Requests as they end, newest first, while `on`. A stream that breaks is opened again. */
function useTail(filter, on) {
  const [state, setState] = useState({ rows: [], fresh: new Set(), open: false, problem: "" });
  const key = JSON.stringify(filter);
  useEffect(() => {
    setState({ rows: [], fresh: new Set(), open: false, problem: "" });
    if (!on) return undefined;
    const controller = new AbortController();
    const { signal } = controller;
    // Many at once are drawn once.
    let waiting = [];
    const show = () => {
      if (!waiting.length) return;
      const more = waiting.reverse();
      waiting = [];
      setState((before) => ({ ...before, rows: [...more, ...before.rows].slice(0, TAIL_ROWS), fresh: new Set(more.map((row) => row.id)) }));
    };
    const timer = setInterval(show, 300);
    const follow = async () => {
      while (!signal.aborted) {
        try {
          await api.events("logs/tail", filter, { signal, onOpen: () => setState((before) => ({ ...before, open: true, problem: "" })), onEvent: (row) => {
            if (row.error) throw Object.assign(new Error(row.error.message), row.error);
            waiting.push(row);
          } });
        } catch (error) {
          if (signal.aborted) return;
          setState((before) => ({ ...before, problem: error.status === 400 ? error.message : "" }));
        }
        setState((before) => ({ ...before, open: false }));
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    };
    follow();
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [on, key, revived.value]);
  return state;
}

function List({ rows, fresh, pages, live }) {
  const more = !live && pages.hasNext;
  const columns = [
    { key: "at", label: t("log.at"), kind: "main-cell", cell: (row) => html`<a class="nowrap" href=${to(`/logs/${row.id}`)} title=${`${dateTime(row.started_at)} · ${relative(row.started_at)}`}><time datetime=${row.started_at}>${today(row.started_at) ? clockTime(row.started_at) : dateTime(row.started_at)}</time></a>` },
    { key: "outcome", label: t("log.outcome"), cell: (row) => html`<${Outcome} of=${row} />` },
    { key: "model", label: t("model.one"), cell: (row) => html`<div class="wrap">${row.model || none()}<div class="sub-cell">${[row.origin !== "caller" ? word("log.origin", row.origin) : word("dialectName", row.dialect), row.stream && t("log.streamed")].filter(Boolean).join(" · ")}</div></div>` },
    { key: "provider", label: t("provider.one"), cell: (row) => html`<div class="wrap">${row.provider || none()}${row.attempts > 1 && html` <${Badge} kind="warn">${t("log.attemptsN", { n: row.attempts })}<//>`}
      ${row.upstream_model && row.upstream_model !== row.model && html`<div class="sub-cell">${row.upstream_model}</div>`}</div>` },
    { key: "key", label: t("key.one"), cell: (row) => html`<span class="wrap">${row.api_key_name || none()}</span>` },
    { key: "latency", label: t("log.latency"), kind: "num", cell: (row) => html`<div>${duration(row.latency_ms)}${row.ttft_ms !== null && html`<div class="sub-cell">${t("log.firstShort", { time: duration(row.ttft_ms) })}</div>`}</div>` },
    { key: "tokens", label: t("dash.tokens"), kind: "num", cell: (row) => html`<span title=${t("model.tokensSplit", { input: number(row.prompt_tokens), output: number(row.completion_tokens) })}>${row.total_tokens ? `${row.usage_source === "estimated" ? "≈ " : ""}${compact(row.total_tokens)}` : none()}</span>` },
    { key: "cost", label: t("dash.cost"), kind: "num", cell: (row) => (row.cost_usd === null ? none() : money(row.cost_usd)) },
  ];
  const empty = html`<${Empty} icon="logs" title=${t(live ? "logs.waiting" : more ? "logs.noneHere" : "logs.empty")}><p>${t(more ? "logs.noneHereHint" : "logs.emptyHint")}</p><//>`;
  return html`<${Table} label=${t("nav.logs")} columns=${columns} rows=${live ? rows ?? [] : rows} error=${pages.error} retry=${pages.reload} empty=${empty}
      href=${(row) => to(`/logs/${row.id}`)} mark=${(row) => (live && fresh.has(row.id) ? "fresh" : "")} />
    ${!live && html`<${Pager} pages=${pages} />`}`;
}

/** A file of all that the filters find, at most as long as the log itself. */
function Export({ filter }) {
  return html`<${LinkButton} icon="download" href=${adminUrl("logs/export", { ...filter, format: "csv" }).href} download="">${t("logs.csv")}<//>
    <${LinkButton} kind="quiet" href=${adminUrl("logs/export", { ...filter, format: "jsonl" }).href} download="">${t("logs.jsonl")}<//>`;
}

function Filters({ query }) {
  const names = useQuery(async (signal) => {
    const [models, providers, keys] = await Promise.all(["models", "providers", "keys"].map((noun) => api.all(noun, {}, { signal }).catch(() => [])));
    return { models, providers, keys };
  }, []);
  const set = (name) => (event) => setQuery({ [name]: event.target.value.trim() });
  const text = (name, label, list) => html`<input class="input" type="search" aria-label=${label} placeholder=${label} list=${list} value=${query[name] ?? ""} onChange=${set(name)} spellcheck="false" />`;
  const select = (name, label, options) => html`<select class="input" aria-label=${label} value=${query[name] ?? ""} onChange=${set(name)}>${[["", label], ...options].map(([value, text]) => html`<option key=${value} value=${value} selected=${value === (query[name] ?? "")}>${text}</option>`)}</select>`;
  const options = (list, rows) => html`<datalist id=${list}>${(rows ?? []).map((row) => html`<option key=${row.id} value=${row.name} />`)}</datalist>`;
  const known = (list, value) => (value && !list.includes(value) ? [...list, value] : list);
  const id = IDS.find((name) => query[name]) ?? "request_id";
  const any = [...FIELDS, "range", "from", "to"].some((name) => query[name]);
  const clear = Object.fromEntries([...FIELDS, "range", "from", "to"].map((name) => [name, undefined]));
  return html`<form class="filters" role="search" aria-label=${t("logs.filters")} onSubmit=${(event) => event.preventDefault()}>
    ${query.live !== "1" && select("range", t("range.all"), ["1h", "24h", "7d", "30d"].map((one) => [one, t(`range.${one}`)]))}
    ${text("model", t("model.one"), "log-models")}${text("provider", t("provider.one"), "log-providers")}${text("api_key", t("key.one"), "log-keys")}
    ${select("status", t("logs.anyStatus"), known(STATUSES, query.status).map((one) => [one, one]))}
    ${select("outcome", t("logs.anyOutcome"), known(OUTCOMES, query.outcome).map((one) => [one, word("outcome", one)]))}
    ${select("stream", t("logs.anyKind"), [["true", t("log.streamed")], ["false", t("log.whole")]])}
    <${ById} key=${id} name=${id} value=${query[id] ?? ""} />
    ${any && html`<${Button} kind="quiet" icon="close" onClick=${() => setQuery(clear)}>${t("logs.clear")}<//>`}
    ${options("log-models", names.data?.models)}${options("log-providers", names.data?.providers)}${options("log-keys", names.data?.keys)}
  </form>${(query.from || query.to) && html`<${Note}><span>${t("logs.between", { from: query.from ? dateTime(query.from) : "…", to: query.to ? dateTime(query.to) : "…" })}</span><//>`}`;
}

/** One of three ids, and which. */
function ById({ name, value }) {
  const [which, setWhich] = useState(name);
  const set = (which, value) => setQuery({ ...Object.fromEntries(IDS.map((one) => [one, undefined])), [which]: value });
  const choose = (event) => {
    setWhich(event.target.value);
    if (value) set(event.target.value, value);
  };
  return html`<span class="joined"><select class="input" aria-label=${t("logs.idKind")} value=${which} onChange=${choose}>${IDS.map((one) => html`<option key=${one} value=${one} selected=${one === which}>${t(`log.${one}`)}</option>`)}</select>
    <span class="with-icon"><${Icon} name="search" size=${15} /><input class="input mono" type="search" aria-label=${t("logs.id")} placeholder=${t("logs.id")} spellcheck="false" value=${value} onChange=${(event) => set(which, event.target.value.trim())} /></span></span>`;
}
