// One model: who serves it, how its latest calls went, what they cost.

import { html, useState } from "../lib.js";
import { api, at, may } from "../api.js";
import { t, word } from "../i18n.js";
import { compact, dateTime, duration, money, number, percent, price as dollars } from "../format.js";
import { kindName } from "../kinds.js";
import { useQuery } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Bars, Button, Card, Copy, Empty, Enabled, Facts, Loaded, Note, Page, Tile, Time } from "../parts/base.js";
import { confirm, toast, toastError } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { limitsText } from "./limits.js";
import { AssociationForm, Capabilities, ModelForm } from "./model-form.js";
import { PriceForm } from "./price-form.js";

export default function Model({ id }) {
  const model = useQuery((signal) => api.get(at("models/{}", id), {}, { signal }), [id]);
  return html`<${Page} title=${model.data?.name ?? t("model.one")} hint=${model.data?.remark} back=${[to("/models"), t("nav.models")]} actions=${model.data && html`<${Actions} model=${model.data} />`}>
    <${Loaded} of=${model} lines=${8}>${(data) => html`<${Details} model=${data} set=${model.set} />`}<//><//>`;
}

function Actions({ model }) {
  if (!may("operator")) return null;
  const own = model.managed_by !== "file";
  const remove = async () => {
    const done = await confirm({ title: t("model.delete", { name: model.name }), text: t("model.deleteText"), action: t("common.delete"), act: () => api.delete(at("models/{}", model.id)) });
    if (!done) return;
    toast(t("common.deleted", { name: model.name }));
    go("/models");
  };
  return html`<${Button} icon="edit" disabled=${!own} onClick=${() => setQuery({ edit: "1" })}>${t("common.edit")}<//><${Button} kind="danger" icon="trash" disabled=${!own} onClick=${remove}>${t("common.delete")}<//>`;
}

function Details({ model, set }) {
  const stats = useQuery((signal) => api.get("stats", { hours: 24 }, { signal }), [], { every: 15000 });
  const used = stats.data?.by_model.find((row) => row.model === model.name)?.usage;
  return html`
    ${model.managed_by === "file" && html`<${Note} icon="lock">${t("common.fileHint")}<//>`}
    <div class="tiles">
      <${Tile} label=${t("model.requests24")} value=${number(used?.requests ?? 0)} sub=${t("model.successIs", { rate: percent(used?.success_rate) })} />
      <${Tile} label=${t("dash.p50")} value=${duration(used?.p50_latency_ms)} sub=${`P95\u00a0${duration(used?.p95_latency_ms)}\u00a0· P99\u00a0${duration(used?.p99_latency_ms)}`} />
      <${Tile} label=${t("model.ttft")} value=${duration(used?.average_ttft_ms)} sub=${t("model.onAverage")} />
      <${Tile} label=${t("model.tokens24")} value=${compact(used?.total_tokens ?? 0)} sub=${t("model.tokensSplit", { input: compact(used?.prompt_tokens ?? 0), output: compact(used?.completion_tokens ?? 0) })} />
      <${Tile} label=${t("model.cost24")} value=${money(used?.cost_usd ?? 0)} sub=${used?.unpriced ? t("model.unpriced", { n: number(used.unpriced) }) : ""} />
    </div>
    <${Associations} model=${model} />
    <${Card} title=${t("provider.configuration")}><${Facts} rows=${[
      [t("provider.id"), html`<code>${model.id}</code> <${Copy} text=${model.id} />`],
      [t("provider.status"), html`<${Enabled} value=${model.enabled} />`],
      [t("model.strategy"), html`${word("strategy", model.strategy)} <span class="muted">– ${word("strategy", `${model.strategy}.hint`)}</span>`],
      [t("model.fallbacks"), model.fallbacks.length ? html`<span class="row">${model.fallbacks.map((name) => html`<a key=${name} href=${to(`/models/${encodeURIComponent(name)}`)}><${Badge}>${name}<//></a>`)}</span>` : t("common.none")],
      [t("model.maxRetry"), number(model.max_retry)],
      [t("limits.title"), limitsText(model) || t("limits.none")],
      [t("provider.timeout"), model.timeout && `${number(model.timeout)} ${t("unit.seconds")}`],
      [t("provider.timeouts"), model.timeouts && Object.entries(model.timeouts).filter(([, ms]) => ms !== null).map(([name, ms]) => html`<div key=${name}>${t(`timeouts.${name}`)}: ${duration(ms)}</div>`)],
      [t("common.createdAt"), html`<${Time} at=${model.created_at} full />`],
      [t("common.updatedAt"), html`<${Time} at=${model.updated_at} full />`],
    ]} /><//>
    ${place.value.query.edit && may("operator") && html`<${ModelForm} model=${model} onClose=${() => setQuery({ edit: undefined })} onSaved=${set} />`}`;
}

function Associations({ model }) {
  const rows = useQuery((signal) => api.all("model-providers", { model_id: model.id }, { signal }), [model.id], { every: 15000 });
  const providers = useQuery((signal) => api.all("providers", {}, { signal }), []);
  const of = new Map((providers.data ?? []).map((one) => [one.id, one]));
  const [editing, setEditing] = useState(null);
  const [pricing, setPricing] = useState(null);
  const operator = may("operator");
  const remove = async (row) => {
    const name = of.get(row.provider_id)?.name ?? row.provider_id;
    const done = await confirm({ title: t("association.delete", { name }), text: t("association.deleteText", { name, model: model.name }), action: t("common.remove.short"), act: () => api.delete(at("model-providers/{}", row.id)) });
    if (done) rows.reload();
  };
  const toggle = async (row) => {
    try {
      await api.patch(at("model-providers/{}/status", row.id), { enabled: !row.enabled });
      rows.reload();
    } catch (error) {
      toastError(error);
    }
  };
  const sorted = rows.data && [...rows.data].sort((a, b) => (b.priority ?? of.get(b.provider_id)?.priority ?? 0) - (a.priority ?? of.get(a.provider_id)?.priority ?? 0));
  const columns = [
    { key: "provider", label: t("provider.one"), kind: "main-cell", cell: (row) => html`<div><a href=${to(`/providers/${row.provider_id}`)}>${of.get(row.provider_id)?.name ?? row.provider_id}</a><div class="sub-cell mono wrap">${row.provider_model}</div></div>` },
    { key: "priority", label: t("provider.priority"), kind: "num", cell: (row) => html`${number(row.priority ?? of.get(row.provider_id)?.priority)} / ${number(row.weight)}` },
    { key: "status", label: t("association.calls"), cell: (row) => html`<${Outcomes} association=${row} />` },
    { key: "can", label: t("model.capabilities"), cell: (row) => html`<${Capabilities} of=${row} />` },
    { key: "price", label: t("price.title"), cell: (row) => html`<${PriceOf} provider=${of.get(row.provider_id)} name=${row.provider_model === "*" ? model.name : row.provider_model} edit=${operator && setPricing} changed=${pricing === null} />` },
    { key: "enabled", label: t("provider.status"), cell: (row) => html`<${Enabled} value=${row.enabled && (of.get(row.provider_id)?.enabled ?? true)} />` },
    { key: "acts", label: "", kind: "acts", cell: (row) => operator && row.managed_by !== "file" && html`
      <${Button} kind="quiet" size="small" icon=${row.enabled ? "stop" : "play"} label=${t(row.enabled ? "association.off" : "association.on")} onClick=${() => toggle(row)} />
      <${Button} kind="quiet" size="small" icon="edit" label=${t("common.edit")} onClick=${() => setEditing(row)} />
      <${Button} kind="quiet" size="small" icon="trash" label=${t("common.delete")} onClick=${() => remove(row)} />` },
  ];
  const add = operator && html`<${Button} size="small" icon="plus" onClick=${() => setEditing({})}>${t("association.new")}<//>`;
  const empty = html`<${Empty} icon="providers" title=${t("association.empty")}><p>${t("association.emptyHint")}</p>${add}<//>`;
  return html`<${Card} flush title=${t("association.title")} actions=${add}>
    <${Table} label=${t("association.title")} columns=${columns} rows=${sorted} error=${rows.error} retry=${rows.reload} empty=${empty} off=${(row) => !row.enabled} />
    ${editing && providers.data && html`<${AssociationForm} model=${model} association=${editing.id ? editing : undefined} providers=${providers.data} onClose=${() => setEditing(null)} onSaved=${rows.reload} />`}
    ${pricing && html`<${PriceForm} found=${pricing} onClose=${() => setPricing(null)} />`}<//>`;
}

/** How the latest calls of an association went. */
function Outcomes({ association }) {
  const calls = useQuery((signal) => api.get(at("model-providers/{}/status", association.id), { count: 24 }, { signal }), [association.id], { every: 10000 });
  const items = [...(calls.data ?? [])].reverse().map((call) => ({
    kind: call.outcome === "ok" ? "ok" : call.status === 429 || call.status === 499 ? "warn" : "bad",
    title: `${dateTime(call.started_at)} · ${call.status || "–"} · ${duration(call.latency_ms)}${call.error ? ` · ${call.error}` : ""}`,
  }));
  return html`<${Bars} items=${items} places=${24} label=${t("association.callsLabel")} />`;
}

/** What the provider's model costs, in dollars per million tokens. */
function PriceOf({ provider, name, edit, changed }) {
  const kind = provider?.options.preset || provider?.kind;
  const price = useQuery(async (signal) => {
    if (!kind) return null;
    const listed = await api.all("prices", { kind }, { signal });
    // Our own come before what was shipped, whole names before globs, long ones before short ones.
    const fits = (pattern) => new RegExp(`^${pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(name);
    const rank = (one) => [one.source === "own", one.upstream_model === name, one.upstream_model.length];
    return listed.filter((one) => fits(one.upstream_model)).sort((a, b) => {
      const [x, y] = [rank(a), rank(b)];
      return (y[0] - x[0]) || (y[1] - x[1]) || (y[2] - x[2]);
    })[0] ?? null;
  }, [kind, name, changed]);
  if (price.data === undefined) return null;
  const text = price.data ? `${dollars(price.data.input)} / ${dollars(price.data.output)}` : t("price.unknown");
  return html`<span class="row nowrap"><span class=${price.data ? "nowrap" : "muted nowrap"} title=${price.data ? t(`price.${price.data.source}`) : undefined}>${text}</span>
    ${edit && kind && kind !== "echo" && html`<${Button} kind="quiet" size="small" icon="edit" label=${t("price.edit")} onClick=${() => edit({ kind, name, price: price.data, kindName: kindName(provider) })} />`}</span>`;
}
