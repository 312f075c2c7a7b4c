// What happens: how much, how well, how fast, at what cost, by whom, and what needs an operator now.

import { html } from "../lib.js";
import { api, at, may } from "../api.js";
import { t, word } from "../i18n.js";
import { compact, duration, money, number, percent } from "../format.js";
import { useAction, useQuery } from "../query.js";
import { beginning, places, RANGES } from "../ranges.js";
import { place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Empty, LinkButton, Loaded, Meter, Page, Problem, Rate, Segmented, Status, Tile, Time } from "../parts/base.js";
import { Chart } from "../parts/chart.js";
import { toastError } from "../parts/dialog.js";
import { Icon } from "../parts/icons.js";
import { Table } from "../parts/table.js";

const SHOWN = ["24h", "7d", "30d"];
const EVERY_MS = 10000;

export default function Dashboard() {
  const { query } = place.value;
  const range = SHOWN.includes(query.range) ? query.range : "24h";
  const { hours, interval } = RANGES[range];
  const stats = useQuery((signal) => api.get("stats", { hours }, { signal }), [hours], { every: EVERY_MS });
  const usage = useQuery(async (signal) => {
    const from = beginning(range);
    const rows = await api.get("usage", { from: new Date(from).toISOString(), interval }, { signal });
    return { interval, from, until: Date.now(), rows };
  }, [range], { every: EVERY_MS });
  const total = stats.data?.total;
  return html`<${Page} title=${t("nav.dashboard")} hint=${t("dash.hint")}
      actions=${html`<${Segmented} label=${t("range.label")} value=${range} onChange=${(value) => setQuery({ range: value })} options=${SHOWN.map((one) => [one, t(`range.${one}`)])} />`}>
    ${stats.error && html`<${Problem} error=${stats.error} retry=${stats.reload} />`}
    <${Tiles} total=${total} />
    <div class="dash">
      <div class="stack">
        ${total?.requests === 0 ? html`<${Card}><${Empty} icon="dashboard" title=${t("dash.empty")}><p>${t("dash.emptyHint")}</p>
            <${LinkButton} kind="primary" icon="playground" href=${to("/playground")}>${t("dash.try")}<//><//><//>`
          : html`<${Charts} usage=${usage} />`}
        ${total?.requests !== 0 && html`<${Breakdown} stats=${stats} range=${range} />`}
      </div>
      <div class="stack"><${Now} /><${Alerts} /></div>
    </div><//>`;
}

function Tiles({ total }) {
  return html`<div class="tiles">
    <${Tile} label=${t("dash.requests")} value=${compact(total?.requests)} sub=${total && t("dash.streamed", { n: number(total.streams) })} />
    <${Tile} label=${t("dash.success")} value=${percent(total?.success_rate)} kind=${total?.failures && total.success_rate < 95 ? "bad" : ""} sub=${total && t("dash.failed", { n: number(total.failures) })} />
    <${Tile} label=${t("dash.tokens")} value=${compact(total?.total_tokens)} sub=${total && t("model.tokensSplit", { input: compact(total.prompt_tokens), output: compact(total.completion_tokens) })} />
    <${Tile} label=${t("dash.cost")} value=${money(total?.cost_usd)} sub=${total && (total.unpriced ? t("model.unpriced", { n: number(total.unpriced) }) : total.requests > 0 && t("dash.allPriced"))} />
    <${Tile} label=${t("dash.p50")} value=${duration(total?.p50_latency_ms)} sub=${total && `P95\u00a0${duration(total.p95_latency_ms)}\u00a0· P99\u00a0${duration(total.p99_latency_ms)}`} />
    <${Tile} label=${t("dash.ttft")} value=${duration(total?.average_ttft_ms)} sub=${total && t("dash.mean")} />
  </div>`;
}

/** The sums of each place in time; `missing` where there was nothing. */
function series(data, field, missing = 0) {
  const found = new Map(data.rows.map((row) => [new Date(row.start).getTime(), row.usage]));
  return data.all.map((time) => found.get(time)?.[field] ?? missing);
}

function Charts({ usage }) {
  const card = (title, draw) => html`<${Card} title=${title}><${Loaded} of=${usage} lines=${7}>${(data) => draw({ ...data, all: places(data.from, data.until, data.interval) })}<//><//>`;
  const times = (data) => data.all.map((time) => time / 1000);
  const line = (label, data, field, colour, missing = null) => ({ label, values: series(data, field, missing), colour });
  return html`
    ${card(t("dash.requestsOverTime"), (data) => html`<${Chart} label=${t("dash.requestsOverTime")} bars stacked times=${times(data)} format=${compact} height=${190} series=${[
      line(t("dash.answered"), data, "successes", "--chart-1", 0), line(t("dash.notAnswered"), data, "failures", "--bad-bar", 0)]} />`)}
    <div class="charts">
      ${card(t("dash.latency"), (data) => html`<${Chart} label=${t("dash.latency")} times=${times(data)} format=${duration} series=${[
        line("P50", data, "p50_latency_ms", "--chart-1"), line("P95", data, "p95_latency_ms", "--chart-3"), line("P99", data, "p99_latency_ms", "--chart-5")]} />`)}
      ${card(t("dash.ttft"), (data) => html`<${Chart} label=${t("dash.ttft")} times=${times(data)} format=${duration} series=${[line(t("dash.meanLabel"), data, "average_ttft_ms", "--chart-2")]} />`)}
      ${card(t("dash.tokens"), (data) => html`<${Chart} label=${t("dash.tokens")} bars stacked times=${times(data)} format=${compact} series=${[
        line(t("dash.read"), data, "prompt_tokens", "--chart-2", 0), line(t("dash.written"), data, "completion_tokens", "--chart-4", 0)]} />`)}
      ${card(t("dash.cost"), (data) => html`<${Chart} label=${t("dash.cost")} bars times=${times(data)} format=${money} series=${[line(t("dash.cost"), data, "cost_usd", "--chart-3", 0)]} />`)}
    </div>`;
}

const PARTS = { model: "by_model", provider: "by_provider", key: "by_key" };

function Breakdown({ stats, range }) {
  const by = PARTS[place.value.query.by] ? place.value.query.by : "model";
  const rows = stats.data?.[PARTS[by]].slice(0, 12);
  const most = stats.data?.total.requests || 1;
  const name = (row) => (by === "key" ? row.api_key_name || row.api_key_id : row[by]);
  const filter = (row) => (by === "key" ? { api_key: row.api_key_id } : { [by]: row[by] });
  const columns = [
    { key: "name", label: t(`dash.by.${by}`), kind: "main-cell", cell: (row) => html`<div class="share">${name(row) ? html`<a class="wrap" href=${to("/logs", { ...filter(row), range })}>${name(row)}</a>` : html`<span class="muted">${t(`dash.none.${by}`)}</span>`}
      <${Share} value=${row.usage.requests / most} label=${t("dash.share")} /></div>` },
    { key: "requests", label: t("dash.requests"), kind: "num", cell: (row) => number(row.usage.requests) },
    { key: "rate", label: t("dash.success"), kind: "num", cell: (row) => html`<${Rate} value=${row.usage.success_rate} />` },
    { key: "tokens", label: t("dash.tokens"), kind: "num", cell: (row) => compact(row.usage.total_tokens) },
    { key: "cost", label: t("dash.cost"), kind: "num", cell: (row) => money(row.usage.cost_usd) },
    { key: "p95", label: "P95", kind: "num", cell: (row) => duration(row.usage.p95_latency_ms) },
    { key: "ttft", label: t("model.ttft"), kind: "num", cell: (row) => duration(row.usage.average_ttft_ms) },
  ];
  return html`<${Card} flush title=${t("dash.who")} actions=${html`<${Segmented} label=${t("dash.who")} value=${by} onChange=${(value) => setQuery({ by: value })} options=${Object.keys(PARTS).map((one) => [one, t(`dash.by.${one}`)])} />`}>
    <${Table} label=${t("dash.who")} columns=${columns} rows=${rows} rowKey=${(row) => `${by} ${name(row)}`} empty=${html`<${Empty} title=${t("common.nothingFound")} />`} /><//>`;
}

/** A meter without alarm: a large share is nothing bad. */
const Share = ({ value, label }) => html`<div class="meter" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(value * 100)}><i style=${{ width: `${value * 100}%` }}></i></div>`;

/** The moment: what runs, what waits, who is not well. */
function Now() {
  const live = useQuery(async (signal) => {
    const [queue, status, breakers, health] = await Promise.all([api.get("queue", {}, { signal }), api.get("status", {}, { signal }), api.get("breakers", {}, { signal }), api.all("health", {}, { signal })]);
    return { queue, status, breakers, health };
  }, [], { every: 3000 });
  return html`<${Card} title=${t("dash.now")} actions=${html`<span class="dot live ok" aria-hidden="true"></span>`}><${Loaded} of=${live} lines=${6}>${({ queue, status, breakers, health }) => {
    const names = new Map(health.map((one) => [one.provider_id, one.provider_name]));
    const open = breakers.filter((one) => one.state !== "closed" && names.has(one.provider_id));
    const ill = health.filter((one) => one.status === "unhealthy" || one.status === "degraded");
    return html`<div class="stack">
      <div class="stack-s"><div class="row between nowrap"><span>${t("dash.running")}</span><b>${number(queue.running)} <span class="muted">/ ${number(queue.max_concurrent_sessions)}</span></b></div>
        <${Meter} value=${queue.running / queue.max_concurrent_sessions} label=${t("dash.running")} /></div>
      <div class="stack-s"><div class="row between"><span>${t("dash.waiting")}</span><b>${number(queue.waiting)} <span class="muted">/ ${number(queue.max_queue_length)}</span></b></div>
        <${Meter} value=${queue.max_queue_length ? queue.waiting / queue.max_queue_length : 0} label=${t("dash.waiting")} /></div>
      <div class="row between"><span>${t("dash.shed")}</span><b class=${queue.shed ? "warn-text" : ""}>${number(queue.shed)}</b></div>
      <div class="row between"><span>${t("about.database")}</span><${Status} value=${status.database === "up" ? "ok" : status.database} /></div>
      <div class="stack-s"><div class="row between"><a href=${to("/health")}>${t("dash.providers")}</a><b>${t("dash.well", { n: number(health.length - ill.length), of: number(health.length) })}</b></div>
        ${ill.slice(0, 6).map((one) => html`<div class="row between nowrap" key=${one.provider_id}><a class="clip" href=${to(`/providers/${one.provider_id}`)}>${one.provider_name}</a><${Status} value=${one.status} /></div>`)}</div>
      <div class="stack-s"><div class="row between"><a href=${to("/health")}>${t("provider.breakers")}</a><b class=${open.length ? "bad-text" : ""}>${t("dash.open", { n: open.length })}</b></div>
        ${open.slice(0, 6).map((one) => html`<div class="row between nowrap small" key=${`${one.provider_id} ${one.key_id} ${one.upstream_model}`}><span class="clip">${names.get(one.provider_id)} · ${one.upstream_model || t("provider.allModels")}</span><${Status} value=${one.state} /></div>`)}</div>
    </div>`;
  }}<//><//>`;
}

const ALARMS = { budget_exhausted: "bad", provider_key_refused: "bad", budget_threshold: "warn" };

function Alerts() {
  const alerts = useQuery((signal) => api.list("alerts", { open_only: true, page_size: 20 }, { signal }), [], { every: EVERY_MS });
  const [busy, acknowledge] = useAction(async (alert) => {
    await api.post(at("alerts/{}/acknowledge", alert.id)).catch(toastError);
    alerts.reload();
  });
  return html`<${Card} title=${t("dash.alerts")}><${Loaded} of=${alerts} lines=${2}>${({ items }) => (items.length === 0
    ? html`<p class="row muted"><${Icon} name="check" size=${16} />${t("dash.noAlerts")}</p>`
    : html`<ul class="alerts">${items.map((one) => html`<li key=${one.id}><div class="row between"><${Badge} kind=${ALARMS[one.kind] ?? "warn"}>${word("alert", one.kind)}<//><span class="muted small"><${Time} at=${one.created_at} /></span></div>
        <p class="wrap small">${one.message}</p>${may("operator") && html`<${Button} size="small" icon="check" busy=${busy} onClick=${() => acknowledge(one)}>${t("dash.acknowledge")}<//>`}</li>`)}</ul>`)}<//><//>`;
}
