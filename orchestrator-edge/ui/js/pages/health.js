// Health: how every provider is and was, its breakers, and how that is found out.

import { html, useMemo } from "../lib.js";
import { api, at, may } from "../api.js";
import { t } from "../i18n.js";
import { duration, number } from "../format.js";
import { useAction, useQuery } from "../query.js";
import { DAY } from "../ranges.js";
import { to } from "../router.js";
import { Bars, Button, Card, Empty, Enabled, Loaded, Page, Rate, Status, Tile, Time } from "../parts/base.js";
import { toast, toastError } from "../parts/dialog.js";
import { FormError, Numeric, Pair, Switch, useForm } from "../parts/form.js";
import { Table } from "../parts/table.js";
import { byDay, dayBars } from "./providers.js";

const DAYS = 30;
const RANKS = ["unhealthy", "degraded", "unknown", "healthy"];

export default function Health() {
  const health = useQuery(async (signal) => {
    const [rows, providers] = await Promise.all([api.all("health", {}, { signal }), api.all("providers", {}, { signal })]);
    const enabled = new Map(providers.map((one) => [one.id, one.enabled]));
    return rows.map((row) => ({ ...row, enabled: enabled.get(row.provider_id) ?? true }));
  }, [], { every: 5000 });
  const breakers = useQuery((signal) => api.get("breakers", {}, { signal }), [], { every: 5000 });
  const operator = may("operator");
  const [checking, checkAll] = useAction(async () => {
    // Four at a time: a provider that does not answer must not keep the others.
    const waiting = health.data.filter((row) => row.enabled);
    const failed = [];
    await Promise.all(Array.from({ length: 4 }, async () => {
      for (let row = waiting.shift(); row; row = waiting.shift()) await api.post(at("providers/{}/check", row.provider_id)).catch(() => failed.push(row.provider_name));
    }));
    health.reload();
    if (failed.length) toast(t("health.notChecked", { names: failed.join(", ") }), "bad");
    else toast(t("health.checked"));
  });
  return html`<${Page} title=${t("nav.health")} hint=${t("health.hint")} actions=${operator && html`<${Button} icon="refresh" busy=${checking} disabled=${!health.data} onClick=${checkAll}>${t("health.checkAll")}<//>`}>
    <${Counts} rows=${health.data} />
    <${Providers} health=${health} breakers=${breakers} />
    <div class="cols-2"><${Breakers} breakers=${breakers} names=${new Map((health.data ?? []).map((row) => [row.provider_id, row.provider_name]))} /><${Checker} /></div><//>`;
}

function Counts({ rows }) {
  const on = rows?.filter((row) => row.enabled);
  const count = (status) => on?.filter((row) => row.status === status).length;
  const tile = (status, kind) => html`<${Tile} label=${t(`status.${status}`)} value=${number(count(status))} kind=${count(status) ? kind : ""} sub=${on && t("health.of", { n: number(on.length) })} />`;
  return html`<div class="tiles">${tile("healthy", "ok")}${tile("degraded", "warn")}${tile("unhealthy", "bad")}${tile("unknown", "")}</div>`;
}

function Providers({ health, breakers }) {
  const from = useMemo(() => new Date(Math.floor(Date.now() / DAY - DAYS + 1) * DAY).toISOString(), []);
  const stats = useQuery((signal) => api.get("provider-stats", { from }, { signal }), [from], { every: 60000 });
  const days = byDay(stats.data ?? [], DAYS);
  const open = new Set((breakers.data ?? []).filter((one) => one.state !== "closed").map((one) => one.provider_id));
  const rows = health.data && [...health.data].sort((a, b) => Number(b.enabled) - Number(a.enabled) || RANKS.indexOf(a.status) - RANKS.indexOf(b.status) || a.provider_name.localeCompare(b.provider_name));
  const columns = [
    { key: "name", label: t("provider.one"), kind: "main-cell", cell: (row) => html`<div><a class="wrap" href=${to(`/providers/${row.provider_id}`)}>${row.provider_name}</a>
      ${row.error_message && row.error_count > 0 && html`<div class="sub-cell wrap bad-text">${row.error_message}</div>`}</div>` },
    { key: "status", label: t("provider.status"), cell: (row) => html`<div>${row.enabled ? html`<${Status} value=${row.status} />` : html`<${Enabled} value=${false} />`}
      ${row.error_count > 0 && html`<div class="sub-cell nowrap">${t("provider.failures", { n: number(row.error_count) })}</div>`}</div>` },
    { key: "days", label: t("provider.days", { n: DAYS }), cell: (row) => html`<${Bars} items=${dayBars(days.get(row.provider_id))} places=${DAYS} label=${t("provider.daysLabel", { name: row.provider_name })} />` },
    { key: "rate", label: t("provider.rate24"), kind: "num", cell: (row) => html`<div><${Rate} value=${row.success_rate_24h} /><div class="sub-cell">${t("provider.calls", { n: number(row.total_requests_24h) })}</div></div>` },
    { key: "time", label: t("provider.response"), kind: "num", cell: (row) => html`<div>${duration(row.response_time_ms)}<div class="sub-cell">${row.avg_response_time_ms !== null && t("provider.average", { time: duration(row.avg_response_time_ms) })}</div></div>` },
    { key: "checked", label: t("health.asked"), cell: (row) => html`<div><${Time} at=${row.last_checked} />${row.next_retry_at && html`<div class="sub-cell">${t("provider.nextRetry")} <${Time} at=${row.next_retry_at} /></div>`}</div>` },
    { key: "acts", label: "", kind: "acts", cell: (row) => may("operator") && html`<${Acts} row=${row} open=${open.has(row.provider_id)} done=${() => { health.reload(); breakers.reload(); }} />` },
  ];
  const empty = html`<${Empty} icon="health" title=${t("providers.empty")}><p>${t("providers.emptyHint")}</p><//>`;
  return html`<${Card} flush title=${t("health.providers")}><${Table} label=${t("health.providers")} columns=${columns} rows=${rows} rowKey=${(row) => row.provider_id} off=${(row) => !row.enabled} error=${health.error} retry=${health.reload} empty=${empty} /><//>`;
}

function Acts({ row, open, done }) {
  const [checking, check] = useAction(async () => {
    try {
      const found = await api.post(at("providers/{}/check", row.provider_id));
      toast(`${row.provider_name}: ${found.is_healthy && found.error_count === 0 ? t("provider.checkedWell", { time: duration(found.response_time_ms) }) : t("provider.checkedBad")}`, found.error_count ? "bad" : "ok");
    } catch (error) { toastError(error); }
    done();
  });
  const [resetting, reset] = useAction(async () => {
    try {
      await api.post("breakers/reset", { provider_id: row.provider_id });
      toast(t("provider.breakersReset"));
    } catch (error) { toastError(error); }
    done();
  });
  return html`${(open || row.error_count > 0) && html`<${Button} kind="quiet" size="small" icon="rotate" label=${t("health.reset", { name: row.provider_name })} busy=${resetting} onClick=${reset} />`}
    <${Button} size="small" icon="bolt" busy=${checking} disabled=${!row.enabled} label=${t("health.check", { name: row.provider_name })} onClick=${check} />`;
}

function Breakers({ breakers, names }) {
  const [busy, reset] = useAction(async () => {
    await api.post("breakers/reset", {}).then(() => toast(t("provider.breakersReset")), toastError);
    breakers.reload();
  });
  // A core remembers those of a provider that is deleted for a while.
  const rows = names.size ? breakers.data?.filter((row) => names.has(row.provider_id)) : undefined;
  const columns = [
    { key: "name", label: t("provider.one"), kind: "main-cell", cell: (row) => html`<div><a class="wrap" href=${to(`/providers/${row.provider_id}`)}>${names.get(row.provider_id)}</a><div class="sub-cell wrap">${row.upstream_model || t("provider.allModels")}</div></div>` },
    { key: "state", label: t("provider.status"), cell: (row) => html`<${Status} value=${row.state} />` },
    { key: "failures", label: t("health.inARow"), kind: "num", cell: (row) => number(row.failures) },
    { key: "retry", label: t("health.openFor"), kind: "num", cell: (row) => (row.retry_in_ms > 0 ? duration(row.retry_in_ms) : "–") },
  ];
  const empty = html`<${Empty} icon="check" title=${t("health.noBreakers")}><p>${t("health.noBreakersHint")}</p><//>`;
  return html`<${Card} flush title=${t("provider.breakers")} actions=${may("operator") && rows?.length > 0 && html`<${Button} size="small" icon="rotate" busy=${busy} onClick=${reset}>${t("health.resetAll")}<//>`}>
    <${Table} label=${t("provider.breakers")} columns=${columns} rows=${rows} rowKey=${(row) => `${row.provider_id} ${row.key_id} ${row.upstream_model}`} error=${breakers.error} retry=${breakers.reload} empty=${empty} /><//>`;
}

function Checker() {
  const config = useQuery((signal) => api.get("health-check/config", {}, { signal }), []);
  return html`<${Card} title=${t("health.checker")}><${Loaded} of=${config} lines=${6}>${(data) => html`<${CheckerForm} config=${data} set=${config.set} />`}<//><//>`;
}

function CheckerForm({ config, set }) {
  const form = useForm(config, async (values) => {
    const stored = await api.put("health-check/config", values);
    set(stored);
    toast(t("common.saved"));
  });
  form.locked = !may("operator");
  return html`<form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("health.checkerHint")}</p><${FormError} form=${form} />
    <${Switch} form=${form} name="enabled" label=${t("health.on")} hint=${t("health.onHint")} />
    <${Pair}><${Numeric} form=${form} name="interval_minutes" label=${t("health.interval")} after=${t("unit.minutes")} min="1" max="1440" />
      <${Numeric} form=${form} name="max_error_count" label=${t("health.errors")} after=${t("health.errorsAfter")} min="1" max="1000" />
      <${Numeric} form=${form} name="retry_after_hours" label=${t("health.retry")} after=${t("unit.hours")} min="1" max="720" /><//>
    ${!form.locked && html`<div class="row"><${Button} kind="primary" type="submit" busy=${form.busy}>${t("common.save")}<//></div>`}</form>`;
}
