// Models: the names that callers ask for, and who serves them.

import { html } from "../lib.js";
import { api, may } from "../api.js";
import { t, word } from "../i18n.js";
import { duration, money, number } from "../format.js";
import { usePages, useQuery } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Empty, Enabled, LinkButton, Page, Rate } from "../parts/base.js";
import { Pager, Table } from "../parts/table.js";
import { ModelForm } from "./model-form.js";

export default function Models() {
  const pages = usePages("models", {}, { every: 15000 });
  const associations = useQuery((signal) => api.all("model-providers", {}, { signal }), [], { every: 15000 });
  const providers = useQuery((signal) => api.all("providers", {}, { signal }), [], { every: 15000 });
  const stats = useQuery((signal) => api.get("stats", { hours: 24 }, { signal }), [], { every: 30000 });
  const names = new Map((providers.data ?? []).map((one) => [one.id, one.name]));
  const served = new Map();
  for (const one of associations.data ?? []) served.set(one.model_id, [...(served.get(one.model_id) ?? []), one]);
  const used = new Map((stats.data?.by_model ?? []).map((row) => [row.model, row.usage]));
  const canEdit = may("operator");
  const add = () => setQuery({ new: "1" });
  const columns = [
    { key: "name", label: t("common.name"), kind: "main-cell", cell: (row) => html`<div><a class="wrap" href=${to(`/models/${row.id}`)}>${row.name}</a>${row.remark && html`<div class="sub-cell wrap">${row.remark}</div>`}</div>` },
    { key: "providers", label: t("nav.providers"), cell: (row) => {
      const all = served.get(row.id) ?? [];
      return html`<span class="row">${all.slice(0, 4).map((one) => html`<${Badge} key=${one.id} title=${one.provider_model}>${names.get(one.provider_id) ?? one.provider_id}<//>`)}${all.length > 4 && html`<span class="muted small">+${number(all.length - 4)}</span>`}
        ${associations.data && all.length === 0 && html`<${Badge} kind="warn">${t("model.nobody")}<//>`}</span>`;
    } },
    { key: "strategy", label: t("model.strategy"), cell: (row) => html`<span class="nowrap">${word("strategy", row.strategy)}</span>` },
    { key: "requests", label: t("model.requests24"), kind: "num", cell: (row) => number(used.get(row.name)?.requests ?? 0) },
    { key: "rate", label: t("model.success"), kind: "num", cell: (row) => html`<${Rate} value=${used.get(row.name)?.success_rate} />` },
    { key: "p95", label: "P95", kind: "num", cell: (row) => duration(used.get(row.name)?.p95_latency_ms) },
    { key: "cost", label: t("model.cost"), kind: "num", cell: (row) => money(used.get(row.name)?.cost_usd) },
    { key: "enabled", label: t("provider.status"), cell: (row) => html`<${Enabled} value=${row.enabled} />` },
  ];
  const empty = html`<${Empty} icon="models" title=${t("models.empty")}><p>${t("models.emptyHint")}</p>
    ${canEdit && html`<div class="row"><${Button} kind="primary" icon="plus" onClick=${add}>${t("models.add")}<//><${LinkButton} href=${to("/providers")}>${t("nav.providers")}<//></div>`}<//>`;
  return html`<${Page} title=${t("nav.models")} hint=${t("models.hint")} actions=${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t("models.add")}<//>`}>
    <${Card} flush>
      <${Table} label=${t("nav.models")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${empty} href=${(row) => to(`/models/${row.id}`)} off=${(row) => !row.enabled} />
      <${Pager} pages=${pages} />
    <//>
    ${place.value.query.new && canEdit && html`<${ModelForm} onClose=${() => setQuery({ new: undefined })} onSaved=${(made) => go(`/models/${made.id}`)} />`}
  <//>`;
}
