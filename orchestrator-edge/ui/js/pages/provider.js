// One provider: how it is, its keys, its models, and what it is set to.

import { html, useMemo, useState } from "../lib.js";
import { api, at, may } from "../api.js";
import { t, word } from "../i18n.js";
import { duration, number, percent } from "../format.js";
import { kindName } from "../kinds.js";
import { useAction, useQuery } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Bars, Button, Card, Copy, Empty, Enabled, Facts, Loaded, Note, Page, Status, Tile, Time } from "../parts/base.js";
import { confirm, Sheet, toast, toastError } from "../parts/dialog.js";
import { FormError, Numeric, Switch, Text, useForm } from "../parts/form.js";
import { Table } from "../parts/table.js";
import { byDay, dayBars } from "./providers.js";
import { Capabilities } from "./model-form.js";
import { ProviderForm } from "./provider-form.js";
import { ImportModels } from "./provider-models.js";

const DAYS = 30;

export default function Provider({ id }) {
  const provider = useQuery((signal) => api.get(at("providers/{}", id), {}, { signal }), [id]);
  const title = provider.data?.name ?? t("provider.one");
  return html`<${Page} title=${title} hint=${provider.data && html`<span class="wrap">${kindName(provider.data)}${provider.data.base_url && ` · ${provider.data.base_url}`}</span>`}
      back=${[to("/providers"), t("nav.providers")]} actions=${provider.data && html`<${Actions} provider=${provider.data} reload=${provider.reload} />`}>
    <${Loaded} of=${provider} lines=${8}>${(data) => html`<${Details} key=${data.id} provider=${data} reload=${provider.reload} set=${provider.set} />`}<//>
  <//>`;
}

function Actions({ provider }) {
  if (!may("operator")) return null;
  const own = provider.managed_by !== "file";
  const remove = async () => {
    const done = await confirm({
      title: t("provider.delete", { name: provider.name }), text: t("provider.deleteText"), action: t("common.delete"), typed: provider.name,
      act: () => api.delete(at("providers/{}", provider.id)),
    });
    if (!done) return;
    toast(t("common.deleted", { name: provider.name }));
    go("/providers");
  };
  return html`<${Button} icon="edit" disabled=${!own} onClick=${() => setQuery({ edit: "1" })}>${t("common.edit")}<//>
    <${Button} kind="danger" icon="trash" disabled=${!own} onClick=${remove}>${t("common.delete")}<//>`;
}

function Details({ provider, set }) {
  const { query } = place.value;
  return html`
    ${provider.managed_by === "file" && html`<${Note} icon="lock">${t("common.fileHint")}<//>`}
    <${Health} provider=${provider} />
    <div class="cols-2"><${Keys} provider=${provider} /><${Configuration} provider=${provider} /></div>
    <${Associations} provider=${provider} />
    ${query.edit && may("operator") && html`<${ProviderForm} provider=${provider} onClose=${() => setQuery({ edit: undefined })} onSaved=${set} />`}
    ${query.import && may("operator") && html`<${ImportModels} provider=${provider} onClose=${() => setQuery({ import: undefined })} />`}`;
}

function Health({ provider }) {
  const health = useQuery((signal) => api.get(at("health/{}", provider.id), {}, { signal }), [provider.id], { every: 5000 });
  const breakers = useQuery((signal) => api.get("breakers", { provider_id: provider.id }, { signal }), [provider.id], { every: 5000 });
  const from = useMemo(() => new Date(Math.floor(Date.now() / 86400000 - DAYS + 1) * 86400000).toISOString(), []);
  const stats = useQuery((signal) => api.get("provider-stats", { from, provider: provider.id }, { signal }), [provider.id, from], { every: 60000 });
  const [checking, check] = useAction(async () => {
    try {
      const found = await api.post(at("providers/{}/check", provider.id));
      health.set(found);
      toast(found.is_healthy ? t("provider.checkedWell", { time: duration(found.response_time_ms) }) : found.error_message || t("provider.checkedBad"), found.is_healthy ? "ok" : "bad");
    } catch (error) {
      toastError(error);
    }
  });
  const [resetting, reset] = useAction(async () => {
    try {
      await api.post("breakers/reset", { provider_id: provider.id });
      breakers.reload();
      toast(t("provider.breakersReset"));
    } catch (error) {
      toastError(error);
    }
  });
  const operator = may("operator");
  const actions = operator && html`<${ToolTest} provider=${provider} /><${Button} size="small" icon="bolt" busy=${checking} onClick=${check}>${t("provider.check")}<//>`;
  const open = breakers.data ?? [];
  return html`<${Card} title=${t("provider.health")} actions=${actions}>
    <${Loaded} of=${health} lines=${4}>${(one) => html`<div class="stack">
      <div class="tiles">
        <${Tile} label=${t("provider.status")} value=${html`<${Status} value=${provider.enabled ? one.status : "unknown"} />`} sub=${html`${t("provider.lastChecked")} <${Time} at=${one.last_checked} />`} />
        <${Tile} label=${t("provider.rate24")} value=${percent(one.success_rate_24h)} sub=${t("provider.calls", { n: number(one.total_requests_24h) })} />
        <${Tile} label=${t("provider.response")} value=${duration(one.response_time_ms)} sub=${t("provider.average", { time: duration(one.avg_response_time_ms) })} />
        <${Tile} label=${t("provider.inARow")} value=${one.error_count ? number(one.error_count) : number(one.consecutive_successes)} kind=${one.error_count ? "bad" : ""} sub=${t(one.error_count ? "provider.faults" : "provider.successes")} />
      </div>
      <div class="row between"><span class="muted small">${t("provider.days", { n: DAYS })}</span>
        <${Bars} items=${dayBars(byDay(stats.data ?? [], DAYS).get(provider.id))} places=${DAYS} label=${t("provider.daysLabel", { name: provider.name })} /></div>
      ${one.error_message && html`<${Note} kind="warn" icon="warn">${t("provider.lastError")} <${Time} at=${one.last_error} />: <span class="wrap">${one.error_message}</span>
        ${one.next_retry_at && html`<br />${t("provider.nextRetry")} <${Time} at=${one.next_retry_at} />`}<//>`}
      ${open.length > 0 && html`<div class="stack-s"><div class="row between"><h3>${t("provider.breakers")}</h3>
        ${operator && html`<${Button} size="small" icon="rotate" busy=${resetting} onClick=${reset}>${t("provider.reset")}<//>`}</div>
        ${open.map((one) => html`<div class="row" key=${`${one.key_id} ${one.upstream_model}`}><${Status} value=${one.state} /><code class="wrap">${one.upstream_model || t("provider.allModels")}</code>
          <span class="muted small">${t("provider.failures", { n: number(one.failures) })}${one.retry_in_ms > 0 ? ` · ${t("provider.retryIn", { time: duration(one.retry_in_ms) })}` : ""}</span></div>`)}</div>`}
    </div>`}<//><//>`;
}

/** Asks a model of the provider to call a tool. */
function ToolTest({ provider }) {
  const [open, setOpen] = useState(false);
  return html`<${Button} size="small" icon="tools" onClick=${() => setOpen(true)}>${t("provider.testTools")}<//>${open && html`<${ToolSheet} provider=${provider} onClose=${() => setOpen(false)} />`}`;
}

function ToolSheet({ provider, onClose }) {
  const associations = useQuery((signal) => api.all("model-providers", { provider_id: provider.id }, { signal }), [provider.id]);
  const [found, setFound] = useState(null);
  const form = useForm({ model: "" }, async ({ model }) => {
    setFound(null);
    setFound(await api.post(at("providers/{}/test-tools", provider.id), model ? { model } : {}));
  });
  const names = [...new Set((associations.data ?? []).map((one) => one.provider_model).filter((name) => name && name !== "*"))];
  return html`<${Sheet} title=${t("provider.testTools")} onClose=${onClose} onSubmit=${form.submit}
      footer=${html`<${Button} onClick=${onClose}>${t("common.close")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t("provider.test")}<//>`}>
    <div class="form"><p class="muted">${t("provider.testToolsHint")}</p><${FormError} form=${form} />
      <${Text} form=${form} name="model" label=${t("provider.upstreamModel")} mono list="upstream-models" placeholder=${names[0] ?? ""} hint=${t("provider.testModelHint")} />
      <datalist id="upstream-models">${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
      ${found && html`<${Note} kind=${found.called ? "ok" : "warn"} icon=${found.called ? "check" : "warn"}>${found.called ? t("provider.toolsYes", { model: found.model, time: duration(found.duration_ms) }) : `${t("provider.toolsNo", { model: found.model })} ${found.error || ""}`}<//>`}
    </div><//>`;
}

function Keys({ provider }) {
  const keys = useQuery((signal) => api.all(at("providers/{}/keys", provider.id), {}, { signal }), [provider.id], { every: 15000 });
  const [editing, setEditing] = useState(null);
  const operator = may("operator") && provider.managed_by !== "file";
  const remove = async (key) => {
    const done = await confirm({ title: t("providerKey.delete", { name: key.label || key.masked }), text: t("providerKey.deleteText"), action: t("common.delete"), act: () => api.delete(at("providers/{}/keys/{}", provider.id, key.id)) });
    if (done) keys.reload();
  };
  const columns = [
    { key: "label", label: t("providerKey.label"), kind: "main-cell", cell: (key) => html`<div>${key.label || t("common.none")}<div class="sub-cell mono">${key.masked}</div></div>` },
    { key: "state", label: t("provider.status"), cell: (key) => (key.enabled ? html`<${Status} value=${key.state || "active"} />` : html`<${Enabled} value=${false} />`) },
    { key: "weight", label: t("provider.weight"), kind: "num", cell: (key) => number(key.weight) },
    { key: "acts", label: "", kind: "acts", cell: (key) => operator && html`<${Button} kind="quiet" size="small" icon="edit" label=${t("common.edit")} onClick=${() => setEditing(key)} />
      <${Button} kind="quiet" size="small" icon="trash" label=${t("common.delete")} onClick=${() => remove(key)} />` },
  ];
  const empty = html`<${Empty} icon="keys" title=${t("providerKey.empty")}><p>${t("providerKey.emptyHint")}</p><//>`;
  return html`<${Card} flush title=${t("providerKey.title")} actions=${operator && html`<${Button} size="small" icon="plus" onClick=${() => setEditing({})}>${t("common.add")}<//>`}>
    <${Table} label=${t("providerKey.title")} columns=${columns} rows=${keys.data} error=${keys.error} retry=${keys.reload} empty=${empty} off=${(key) => !key.enabled} />
    ${editing && html`<${KeyForm} provider=${provider} found=${editing} onClose=${() => setEditing(null)} onSaved=${keys.reload} />`}<//>`;
}

function KeyForm({ provider, found, onClose, onSaved }) {
  const fresh = !found.id;
  const form = useForm({ label: found.label ?? "", secret: "", weight: found.weight ?? 100, enabled: found.enabled ?? true }, async ({ secret, ...values }) => {
    const body = secret ? { ...values, secret } : values;
    if (fresh) await api.post(at("providers/{}/keys", provider.id), body);
    else await api.patch(at("providers/{}/keys/{}", provider.id, found.id), body);
    toast(t("common.saved"));
    onSaved();
    onClose();
  });
  return html`<${Sheet} title=${t(fresh ? "providerKey.add" : "providerKey.edit")} onClose=${onClose} onSubmit=${form.submit}
      footer=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(fresh ? "common.add" : "common.save")}<//>`}>
    <div class="form"><${FormError} form=${form} />
      <${Text} form=${form} name="label" label=${t("providerKey.label")} hint=${t("providerKey.labelHint")} />
      <${Text} form=${form} name="secret" type="password" mono label=${t("providerKey.secret")} autocomplete="new-password" hint=${fresh ? t("provider.apiKeyHint") : t("providerKey.secretKept", { masked: found.masked })} />
      <${Numeric} form=${form} name="weight" label=${t("provider.weight")} hint=${t("providerKey.weightHint")} min="1" />
      <${Switch} form=${form} name="enabled" label=${t("common.enabled")} /></div><//>`;
}

function Configuration({ provider }) {
  const { timeouts, options, headers } = provider;
  const listed = (values) => Object.entries(values ?? {}).filter(([, value]) => value !== null).map(([name, value]) => html`<div key=${name}><code>${name}</code> ${value}</div>`);
  return html`<${Card} title=${t("provider.configuration")}><${Facts} rows=${[
    [t("provider.id"), html`<code>${provider.id}</code> <${Copy} text=${provider.id} />`],
    [t("provider.enabled"), html`<${Enabled} value=${provider.enabled} />`],
    [t("provider.priority1"), number(provider.priority)],
    [t("provider.weight"), number(provider.weight)],
    [t("provider.maxRetries"), number(provider.max_retries)],
    [t("provider.rateLimit"), provider.rate_limit && `${number(provider.rate_limit)} ${t("unit.perMinute")}`],
    [t("provider.timeout"), provider.timeout && `${number(provider.timeout)} ${t("unit.seconds")}`],
    [t("provider.timeouts"), timeouts && listed(Object.fromEntries(Object.entries(timeouts).map(([name, ms]) => [t(`timeouts.${name}`), ms === null ? null : duration(ms)])))],
    [t("provider.dialects"), options.dialects.length ? options.dialects.map((one) => html`<${Badge} key=${one}>${one}<//> `) : null],
    [t("provider.probe"), options.probe && word("provider.probe", options.probe)],
    [t("provider.headers"), Object.keys(headers).length ? listed(headers) : null],
    [t("provider.overrides"), Object.keys(options.body_overrides_json).length ? listed(options.body_overrides_json) : null],
    [t("common.createdAt"), html`<${Time} at=${provider.created_at} full />`],
    [t("common.updatedAt"), html`<${Time} at=${provider.updated_at} full />`],
  ]} /><//>`;
}

/** The models that the catalog has it serve, and the way to more. */
function Associations({ provider }) {
  const associations = useQuery((signal) => api.all("model-providers", { provider_id: provider.id }, { signal }), [provider.id], { every: 15000 });
  const models = useQuery((signal) => api.all("models", {}, { signal }), [provider.id], { every: 15000 });
  const names = new Map((models.data ?? []).map((model) => [model.id, model.name]));
  const columns = [
    { key: "model", label: t("model.one"), kind: "main-cell", cell: (row) => html`<a href=${to(`/models/${row.model_id}`)}>${names.get(row.model_id) ?? row.model_id}</a>` },
    { key: "upstream", label: t("provider.upstreamModel"), cell: (row) => html`<code class="wrap">${row.provider_model}</code>` },
    { key: "priority", label: t("provider.priority"), kind: "num", cell: (row) => `${number(row.priority ?? provider.priority)} / ${number(row.weight)}` },
    { key: "can", label: t("model.capabilities"), cell: (row) => html`<${Capabilities} of=${row} />` },
    { key: "enabled", label: t("provider.status"), cell: (row) => html`<${Enabled} value=${row.enabled} />` },
  ];
  const load = may("operator") && html`<${Button} size="small" icon="download" onClick=${() => setQuery({ import: "1" })}>${t("import.open")}<//>`;
  const empty = html`<${Empty} icon="models" title=${t("provider.noModels")}><p>${t("provider.noModelsHint")}</p>${load}<//>`;
  return html`<${Card} flush title=${t("provider.models")} actions=${load}>
    <${Table} label=${t("provider.models")} columns=${columns} rows=${associations.data} error=${associations.error} retry=${associations.reload} empty=${empty} off=${(row) => !row.enabled} /><//>`;
}

