// One caller's key: what it may, what it used, and a new secret for it.

import { html, useState } from "../lib.js";
import { api, at, may } from "../api.js";
import { t } from "../i18n.js";
import { compact, duration, money, number, percent } from "../format.js";
import { useQuery } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Copy, Facts, Loaded, Note, Page, Tile, Time } from "../parts/base.js";
import { confirm, Sheet, toast } from "../parts/dialog.js";
import { FormError, Select, useForm } from "../parts/form.js";
import { KeyForm, MadeKey } from "./key-form.js";
import { BudgetOf, KeyState } from "./keys.js";
import { limitsText } from "./limits.js";

const OVERLAPS = [0, 300, 3600, 86400, 604800, 2592000];

export default function Key({ id }) {
  const key = useQuery((signal) => api.get(at("keys/{}", id), {}, { signal }), [id], { every: 15000 });
  return html`<${Page} title=${key.data?.name ?? t("key.one")} hint=${key.data && html`<code>${key.data.prefix}…</code>`} back=${[to("/keys"), t("nav.keys")]} actions=${key.data && html`<${Actions} found=${key.data} reload=${key.reload} />`}>
    <${Loaded} of=${key} lines=${8}>${(data) => html`<${Details} found=${data} reload=${key.reload} />`}<//><//>`;
}

function Actions({ found, reload }) {
  const [rotating, setRotating] = useState(false);
  if (!may("operator")) return null;
  const own = found.managed_by !== "file";
  const revoke = async () => {
    const done = await confirm({ title: t("key.revoke", { name: found.name }), text: t("key.revokeText"), action: t("key.revokeGo"), act: () => api.delete(at("keys/{}", found.id)) });
    if (!done) return;
    toast(t("key.revoked", { name: found.name }));
    go("/keys");
  };
  return html`<${Button} icon="edit" disabled=${!own} onClick=${() => setQuery({ edit: "1" })}>${t("common.edit")}<//>
    <${Button} icon="rotate" disabled=${!own} onClick=${() => setRotating(true)}>${t("key.rotate")}<//>
    <${Button} kind="danger" icon="trash" disabled=${!own} onClick=${revoke}>${t("key.revokeGo")}<//>
    ${rotating && html`<${Rotate} found=${found} onClose=${() => { setRotating(false); reload(); }} />`}`;
}

function Rotate({ found, onClose }) {
  const [made, setMade] = useState(null);
  const form = useForm({ overlap: "0" }, async ({ overlap }) => setMade(await api.post(at("keys/{}/rotate", found.id), { overlap_seconds: Number(overlap) })));
  if (made) return html`<${MadeKey} made=${made} title=${t("key.rotateTitle", { name: found.name })} onClose=${onClose} />`;
  const names = OVERLAPS.map((seconds) => [String(seconds), seconds ? duration(seconds * 1000) : t("key.overlapNone")]);
  return html`<${Sheet} title=${t("key.rotateTitle", { name: found.name })} onClose=${onClose} onSubmit=${form.submit}
      footer=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t("key.rotate")}<//>`}>
    <div class="form"><p class="muted">${t("key.rotateHint")}</p><${FormError} form=${form} /><${Select} form=${form} name="overlap" label=${t("key.overlap")} options=${names} /></div><//>`;
}

function Details({ found, reload }) {
  const stats = useQuery((signal) => api.get("stats", { hours: 24 }, { signal }), [], { every: 15000 });
  const used = stats.data?.by_key.find((row) => row.api_key_id === found.id)?.usage;
  return html`
    ${found.managed_by === "file" && html`<${Note} icon="lock">${t("common.fileHint")}<//>`}
    ${found.previous_until && new Date(found.previous_until) > new Date() && html`<${Note} icon="rotate">${t("key.previous")} <${Time} at=${found.previous_until} /><//>`}
    <div class="tiles">
      <${Tile} label=${t("model.requests24")} value=${number(used?.requests ?? 0)} sub=${t("model.successIs", { rate: percent(used?.success_rate) })} />
      <${Tile} label=${t("model.tokens24")} value=${compact(used?.total_tokens ?? 0)} sub=${t("model.tokensSplit", { input: compact(used?.prompt_tokens ?? 0), output: compact(used?.completion_tokens ?? 0) })} />
      <${Tile} label=${t("model.cost24")} value=${money(used?.cost_usd ?? 0)} sub=${used?.unpriced ? t("model.unpriced", { n: number(used.unpriced) }) : ""} />
      <${Tile} label=${t("key.lastUsed")} value=${html`<${Time} at=${found.last_used_at} />`} />
    </div>
    <${Card} title=${t("provider.configuration")} actions=${html`<a class="small" href=${to("/logs", { api_key: found.id })}>${t("key.logs")}</a>`}><${Facts} rows=${[
      [t("provider.id"), html`<code>${found.id}</code> <${Copy} text=${found.id} />`],
      [t("provider.status"), html`<${KeyState} row=${found} />`],
      [t("team.one"), found.team],
      [t("key.owner"), found.owner],
      [t("key.models"), found.models.length ? html`<span class="row">${found.models.map((one) => html`<${Badge} key=${one}>${one}<//>`)}</span>` : t("key.all")],
      [t("key.operations"), found.operations.length ? html`<span class="row">${found.operations.map((one) => html`<${Badge} key=${one}>${t(`operation.${one}`)}<//>`)}</span>` : t("key.all")],
      [t("key.expires"), found.expires_at ? html`<${Time} at=${found.expires_at} full />` : t("time.never")],
      [t("limits.title"), limitsText(found) || t("limits.none")],
      [t("limits.budget"), html`<${BudgetOf} row=${found} />`],
      [t("key.logBodies"), t(found.log_bodies ? "common.yes" : "common.no")],
      [t("key.onDisconnect"), t(`key.${found.on_disconnect}`)],
      [t("key.tags"), Object.keys(found.tags).length ? Object.entries(found.tags).map(([name, value]) => html`<div key=${name}><code>${name}</code> ${value}</div>`) : null],
      [t("common.createdAt"), html`<${Time} at=${found.created_at} full />`],
      [t("common.updatedAt"), html`<${Time} at=${found.updated_at} full />`],
    ]} /><//>
    ${place.value.query.edit && may("operator") && html`<${KeyForm} found=${found} onClose=${() => setQuery({ edit: undefined })} onSaved=${reload} />`}`;
}
