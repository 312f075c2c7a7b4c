// Providers: who they are, how they are, and one more.

import { html, useMemo } from "../lib.js";
import { api, may } from "../api.js";
import { t } from "../i18n.js";
import { number, percent } from "../format.js";
import { kindName } from "../kinds.js";
import { usePages, useQuery } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Bars, Button, Card, Empty, Enabled, Page, Rate, Status } from "../parts/base.js";
import { Pager, Table } from "../parts/table.js";
import { ProviderForm } from "./provider-form.js";

const DAYS = 14;

/** How each provider did by day, oldest first. */
export function byDay(rows, days = DAYS) {
  const first = Math.floor(Date.now() / 86400000) - days + 1;
  const counts = new Map();
  for (const row of rows) {
    const day = Math.floor(new Date(row.day).getTime() / 86400000) - first;
    if (day < 0) continue;
    if (!counts.has(row.provider_id)) counts.set(row.provider_id, Array.from({ length: days }, () => ({ attempts: 0, successes: 0 })));
    const of = counts.get(row.provider_id)[day];
    if (!of) continue;
    of.attempts += row.attempts;
    of.successes += row.successes;
  }
  return counts;
}

/** The bars of one provider's days. */
export function dayBars(days) {
  return (days ?? []).map(({ attempts, successes }, place) => {
    if (!attempts) return { kind: "", title: "" };
    const rate = (100 * successes) / attempts;
    const ago = days.length - 1 - place;
    return { kind: rate >= 99 ? "ok" : rate >= 90 ? "warn" : "bad", title: `${ago ? t("provider.daysAgo", { n: ago }) : t("provider.today")}: ${percent(rate)} · ${t("provider.calls", { n: number(attempts) })}` };
  });
}

export default function Providers() {
  const pages = usePages("providers", {}, { every: 10000 });
  const health = useQuery((signal) => api.all("health", {}, { signal }), [], { every: 10000 });
  const breakers = useQuery((signal) => api.get("breakers", {}, { signal }), [], { every: 10000 });
  const from = useMemo(() => new Date(Math.floor(Date.now() / 86400000 - DAYS + 1) * 86400000).toISOString(), []);
  const stats = useQuery((signal) => api.get("provider-stats", { from }, { signal }), [from], { every: 60000 });
  const of = new Map((health.data ?? []).map((one) => [one.provider_id, one]));
  const days = byDay(stats.data ?? []);
  const open = new Set((breakers.data ?? []).filter((one) => one.state !== "closed").map((one) => one.provider_id));
  const adding = place.value.query.new !== undefined;
  const canEdit = may("operator");
  const add = () => setQuery({ new: "1" });
  const columns = [
    { key: "name", label: t("common.name"), kind: "main-cell", cell: (row) => html`<div><a href=${to(`/providers/${row.id}`)}>${row.name}</a><div class="sub-cell wrap">${row.base_url || kindName(row)}</div></div>` },
    { key: "kind", label: t("provider.kind"), cell: (row) => html`<span class="nowrap">${kindName(row)}</span>` },
    { key: "status", label: t("provider.status"), cell: (row) => html`<span class="row">${row.enabled ? html`<${Status} value=${of.get(row.id)?.status ?? "unknown"} />` : html`<${Enabled} value=${false} />`}
      ${open.has(row.id) && html`<${Badge} kind="bad">${t("provider.breakerOpen")}<//>`}${row.managed_by === "file" && html`<${Badge} title=${t("common.fileHint")}>${t("common.file")}<//>`}</span>` },
    { key: "days", label: t("provider.days", { n: DAYS }), cell: (row) => html`<${Bars} items=${dayBars(days.get(row.id))} places=${DAYS} label=${t("provider.daysLabel", { name: row.name })} />` },
    { key: "rate", label: t("provider.rate24"), kind: "num", cell: (row) => html`<${Rate} value=${of.get(row.id)?.success_rate_24h} />` },
    { key: "requests", label: t("provider.requests24"), kind: "num", cell: (row) => number(of.get(row.id)?.total_requests_24h ?? 0) },
    { key: "priority", label: t("provider.priority"), kind: "num", cell: (row) => `${number(row.priority)} / ${number(row.weight)}` },
  ];
  const empty = html`<${Empty} icon="providers" title=${t("providers.empty")}><p>${t("providers.emptyHint")}</p>
    ${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t("providers.add")}<//>`}<//>`;
  return html`<${Page} title=${t("nav.providers")} hint=${t("providers.hint")}
      actions=${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t("providers.add")}<//>`}>
    <${Card} flush>
      <${Table} label=${t("nav.providers")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${empty}
        href=${(row) => to(`/providers/${row.id}`)} off=${(row) => !row.enabled} />
      <${Pager} pages=${pages} />
    <//>
    ${adding && canEdit && html`<${ProviderForm} onClose=${() => setQuery({ new: undefined })} onSaved=${(made) => go(`/providers/${made.id}`)} />`}
  <//>`;
}
