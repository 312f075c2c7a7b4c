// Usage: tokens and money by any grouping and period, as a chart, a table and a file.

import { html, useMemo } from "../lib.js";
import { api } from "../api.js";
import { t } from "../i18n.js";
import { compact, date, dateTime, money, number, percent } from "../format.js";
import { useQuery } from "../query.js";
import { beginning, DAY, places, RANGES } from "../ranges.js";
import { place, setQuery, to } from "../router.js";
import { Button, Card, Empty, Loaded, Note, Page, Problem, Segmented, Tile } from "../parts/base.js";
import { Chart } from "../parts/chart.js";
import { Table } from "../parts/table.js";
import { groupOf, summed, toCsv } from "./usage-sums.js";

const GROUPS = ["model", "provider", "key", "team"];
const METRICS = { cost: ["cost_usd", money], tokens: ["total_tokens", compact], requests: ["requests", compact] };
const INTERVALS = ["hour", "day", "month"];
const COLOURS = 5;
const ROWS = 200;

/** What the address asks for, in words of the API. */
function question(query) {
  const own = query.from !== undefined;
  const range = RANGES[query.range] ? query.range : "30d";
  const interval = INTERVALS.includes(query.interval) ? query.interval : own ? "day" : RANGES[range].interval;
  const tag = query.by?.startsWith("tag:") ? query.by.slice(4) : null;
  const groups = tag !== null ? [] : (query.by ?? "model").split(",").filter((one) => GROUPS.includes(one));
  const from = own ? local(query.from) : beginning(range, interval);
  const until = query.to ? local(query.to) + DAY : Date.now();
  return { own, range, interval, tag, groups, from, until, by: tag !== null ? `tag:${tag}` : groups.join(",") };
}

/** The beginning of a day as the reader counts days. */
const local = (day) => {
  const time = new Date(`${day}T00:00:00`).getTime();
  return Number.isNaN(time) ? Date.now() - 30 * DAY : time;
};

export default function Usage() {
  const { query } = place.value;
  const asked = question(query);
  const metric = METRICS[query.metric] ? query.metric : "cost";
  const usage = useQuery(async (signal) => {
    const { from, until, interval, by } = question(place.value.query);
    const given = { from: new Date(from).toISOString(), to: query.to ? new Date(until).toISOString() : undefined, interval, group_by: by };
    return { ...asked, from, until, rows: await api.get("usage", given, { signal }) };
  }, [asked.range, asked.interval, asked.by, query.from, query.to], { every: 30000 });
  const rows = usage.data?.rows;
  const sums = useMemo(() => (rows ? summed(rows, usage.data) : undefined), [rows]);
  return html`<${Page} title=${t("nav.usage")} hint=${t("usage.hint")} actions=${html`<${Button} icon="download" disabled=${!rows?.length} onClick=${() => download(usage.data)}>${t("logs.csv")}<//>`}>
    <div><${Choices} query=${query} asked=${asked} metric=${metric} /></div>
    ${usage.error && usage.data === undefined ? html`<${Problem} error=${usage.error} retry=${usage.reload} />` : html`
      ${usage.error && html`<${Problem} error=${usage.error} retry=${usage.reload} />`}
      <${Sums} sums=${sums} />
      <${Card} title=${t("usage.over", { metric: t(`dash.${metric}`) })}><${Loaded} of=${usage} lines=${7}>${(data) => html`<${Over} data=${data} metric=${metric} />`}<//><//>
      <${Groups} data=${usage.data} sums=${sums} metric=${metric} />`}<//>`;
}

function Choices({ query, asked, metric }) {
  const toggle = (one) => {
    const next = asked.groups.includes(one) ? asked.groups.filter((other) => other !== one) : GROUPS.filter((other) => other === one || asked.groups.includes(other));
    setQuery({ by: next.join(",") || "none" });
  };
  const day = (name, label) => html`<input class="input" type="date" aria-label=${label} title=${label} value=${query[name] ?? ""} onChange=${(event) => setQuery({ [name]: event.target.value || undefined, range: undefined })} />`;
  return html`<div class="filters">
      <${Segmented} label=${t("range.label")} value=${asked.own ? "" : asked.range} onChange=${(range) => setQuery({ range, from: undefined, to: undefined, interval: undefined })} options=${Object.keys(RANGES).map((one) => [one, t(`range.${one}`)])} />
      <span class="row nowrap">${day("from", t("usage.since"))}<span class="muted">–</span>${day("to", t("usage.until"))}</span>
      <select class="input" aria-label=${t("usage.interval")} value=${asked.interval} onChange=${(event) => setQuery({ interval: event.target.value })}>${INTERVALS.map((one) => html`<option key=${one} value=${one} selected=${one === asked.interval}>${t(`usage.by.${one}`)}</option>`)}</select>
    </div><div class="filters">
      <span class="muted small">${t("usage.groupBy")}</span>
      <div class="segmented" role="group" aria-label=${t("usage.groupBy")}>${GROUPS.map((one) => html`<button key=${one} type="button" aria-pressed=${String(asked.groups.includes(one))} onClick=${() => toggle(one)}>${t(`dash.by.${one}`)}</button>`)}</div>
      <input class="input" aria-label=${t("usage.tag")} placeholder=${t("usage.tag")} value=${asked.tag ?? ""} onChange=${(event) => setQuery({ by: event.target.value.trim() ? `tag:${event.target.value.trim()}` : undefined })} />
      <span class="grow"></span>
      <${Segmented} label=${t("usage.metric")} value=${metric} onChange=${(value) => setQuery({ metric: value })} options=${Object.keys(METRICS).map((one) => [one, t(`dash.${one}`)])} />
    </div>`;
}

function Sums({ sums }) {
  const all = sums?.total;
  return html`<div class="tiles">
    <${Tile} label=${t("dash.cost")} value=${money(all?.cost_usd)} sub=${all && (all.unpriced ? t("model.unpriced", { n: number(all.unpriced) }) : all.requests > 0 && t("dash.allPriced"))} />
    <${Tile} label=${t("dash.requests")} value=${number(all?.requests)} sub=${all && t("dash.failed", { n: number(all.failures) })} />
    <${Tile} label=${t("log.read")} value=${compact(all?.prompt_tokens)} sub=${all && t("usage.cached", { n: compact(all.cached_read_tokens) })} />
    <${Tile} label=${t("log.written")} value=${compact(all?.completion_tokens)} sub=${all && t("usage.reasoning", { n: compact(all.reasoning_tokens) })} />
  </div>`;
}

/** The largest groups each in a colour, all others together in one. */
function Over({ data, metric }) {
  const [field, format] = METRICS[metric];
  const all = places(data.from, data.until, data.interval);
  const at = new Map(all.map((time, index) => [time, index]));
  const groups = new Map();
  for (const row of data.rows) {
    const name = groupOf(row, data).join(" · ");
    if (!groups.has(name)) groups.set(name, { label: name, values: all.map(() => 0), sum: 0 });
    const group = groups.get(name);
    const index = at.get(new Date(row.start).getTime());
    if (index === undefined) continue;
    group.values[index] += row.usage[field] ?? 0;
    group.sum += row.usage[field] ?? 0;
  }
  if (groups.size === 0) return html`<${Empty} icon="usage" title=${t("usage.empty")}><p>${t("usage.emptyHint")}</p><//>`;
  const sorted = [...groups.values()].sort((a, b) => b.sum - a.sum);
  // Who has none of it has no colour either, unless nobody has any.
  const ranked = sorted.filter((one, index) => one.sum > 0 || index === 0);
  const others = ranked.slice(COLOURS);
  const series = ranked.slice(0, COLOURS);
  if (others.length) series.push({ label: t("usage.others", { n: others.length }), values: all.map((_, index) => others.reduce((sum, one) => sum + one.values[index], 0)), colour: "--chart-6" });
  return html`<${Chart} label=${t("usage.over", { metric: t(`dash.${metric}`) })} bars stacked height=${240} times=${all.map((time) => time / 1000)} format=${format} series=${series} />`;
}

function Groups({ data, sums, metric }) {
  const each = place.value.query.rows === "each";
  const field = METRICS[metric][0];
  const rows = useMemo(() => {
    if (!sums) return undefined;
    return each ? data.rows.map((row) => ({ names: groupOf(row, data), start: row.start, row, ...row.usage })).reverse() : [...sums.groups].sort((a, b) => (b[field] ?? 0) - (a[field] ?? 0));
  }, [sums, each, field]);
  const columns = [
    ...(each ? [{ key: "start", label: t("usage.start"), cell: (row) => html`<span class="nowrap">${data.interval === "hour" ? dateTime(row.start) : utcDay(row.start)}</span>` }] : []),
    { key: "name", label: t("usage.group"), kind: "main-cell", cell: (row) => html`<a class="wrap" href=${logsOf(row, data)}>${row.names.join(" · ")}</a>` },
    { key: "requests", label: t("dash.requests"), kind: "num", cell: (row) => number(row.requests) },
    { key: "rate", label: t("dash.success"), kind: "num", cell: (row) => (row.requests ? percent((100 * row.successes) / row.requests) : "–") },
    { key: "read", label: t("log.read"), kind: "num", cell: (row) => number(row.prompt_tokens) },
    { key: "written", label: t("log.written"), kind: "num", cell: (row) => number(row.completion_tokens) },
    { key: "total", label: t("dash.tokens"), kind: "num", cell: (row) => number(row.total_tokens) },
    { key: "cost", label: t("dash.cost"), kind: "num", cell: (row) => html`<b>${money(row.cost_usd)}</b>` },
    { key: "share", label: t("dash.share"), kind: "num", cell: (row) => percent(sums.total[field] ? (100 * (row[field] ?? 0)) / sums.total[field] : null) },
  ];
  return html`<${Card} flush title=${t("usage.table")} actions=${html`<${Segmented} label=${t("usage.rows")} value=${each ? "each" : "sum"} onChange=${(value) => setQuery({ rows: value === "each" ? "each" : undefined })} options=${[["sum", t("usage.sum")], ["each", t("usage.each")]]} />`}>
    <${Table} label=${t("usage.table")} columns=${columns} rows=${rows?.slice(0, ROWS)} rowKey=${(row) => `${row.start ?? ""} ${JSON.stringify(row.names)}`} empty=${html`<${Empty} icon="usage" title=${t("usage.empty")} />`} />
    ${rows?.length > ROWS && html`<div class="body"><${Note}>${t("usage.more", { n: number(rows.length - ROWS) })}<//></div>`}<//>`;
}

/** Days and months are of UTC, wherever the reader is. */
const utcDay = (start) => date(`${start.slice(0, 10)}T12:00:00`);

/** The requests that a row is of. Logs know no team and no tag. */
function logsOf({ row }, data) {
  const filter = {};
  if (data.groups.includes("model")) filter.model = row.model;
  if (data.groups.includes("provider")) filter.provider = row.provider;
  if (data.groups.includes("key")) filter.api_key = row.api_key_id;
  return to("/logs", { ...filter, from: new Date(data.from).toISOString(), to: place.value.query.to ? new Date(data.until).toISOString() : "" });
}

function download(data) {
  const url = URL.createObjectURL(new Blob([toCsv(data)], { type: "text/csv" }));
  const day = (time) => new Date(time).toISOString().slice(0, 10);
  Object.assign(document.createElement("a"), { href: url, download: `usage-${day(data.from)}-${day(data.until)}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
