// Making and changing callers' keys and teams.

import { html, useState } from "../lib.js";
import { api, at } from "../api.js";
import { t } from "../i18n.js";
import { OPERATIONS, orNone } from "../kinds.js";
import { useQuery } from "../query.js";
import { Button, Code, Note, Secret } from "../parts/base.js";
import { Sheet, toast } from "../parts/dialog.js";
import { changes, Checks, FormError, Moment, More, Numeric, Pair, Pairs, Select, Switch, Text, useForm, Words } from "../parts/form.js";
import { NO_RATE, RateFields } from "./limits.js";

const LIMITS = { ...NO_RATE, max_concurrency: null, budget_usd: null, budget_period: "" };
const KEY = { name: "", owner: "", team: "", models: [], operations: [], enabled: true, expires_at: null, ...LIMITS, tags: {}, log_bodies: false, on_disconnect: "cancel" };
const TEAM = { name: "", remark: "", enabled: true, ...LIMITS };

const picked = (row, fresh) => Object.fromEntries(Object.keys(fresh).map((name) => [name, row[name] ?? fresh[name]]));
/** A budget goes with its period. */
const tidy = (values) => ({ ...values, budget_period: values.budget_usd === null ? "" : values.budget_period || "month" });

/** Limits and the budget of a key or a team. */
const Limits = ({ form }) => html`<${Pair}><${RateFields} form=${form} />
    <${Numeric} form=${form} name="max_concurrency" label=${t("limits.concurrency")} min="1" placeholder=${t("limits.none")} /><//>
  <${Pair}>
    <${Numeric} form=${form} name="budget_usd" label=${t("limits.budget")} step="any" after="USD" placeholder=${t("limits.none")} hint=${t("limits.budgetHint")} />
    <${Select} form=${form} name="budget_period" label=${t("limits.period")} options=${[["", t("limits.choosePeriod")], ["day", t("period.day")], ["month", t("period.month")], ["total", t("period.total")]]} /><//>`;

/** `found`: the key to change; without it one is made, and its secret shown. */
export function KeyForm({ found, onClose, onSaved, onMade }) {
  const [made, setMade] = useState(null);
  if (made) return html`<${MadeKey} made=${made} onClose=${() => { onClose(); onMade?.(made); }} />`;
  return html`<${KeyFields} found=${found} onClose=${onClose} onSaved=${(saved) => {
    onSaved?.(saved);
    if (saved.secret) setMade(saved);
    else onClose();
  }} />`;
}

function KeyFields({ found, onClose, onSaved }) {
  const [initial] = useState(() => (found ? picked(found, KEY) : KEY));
  const teams = useQuery((signal) => api.all("teams", {}, { signal }), []);
  const models = useQuery((signal) => api.all("models", {}, { signal }), []);
  const form = useForm(initial, async (values) => {
    const body = tidy(values);
    const saved = found ? await api.patch(at("keys/{}", found.id), changes(tidy(initial), body)) : await api.post("keys", body);
    if (found) toast(t("common.saved"));
    onSaved(saved);
  });
  const footer = html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(found ? "common.save" : "common.create")}<//>`;
  const names = (teams.data ?? []).map((one) => one.name);
  if (initial.team && !names.includes(initial.team)) names.push(initial.team);
  return html`<${Sheet} drawer title=${found ? t("provider.edit", { name: found.name }) : t("keys.add")} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="form"><${FormError} form=${form} />
      <${Text} form=${form} name="name" label=${t("common.name")} hint=${t("key.nameHint")} />
      <${Pair}><${Select} form=${form} name="team" label=${t("team.one")} options=${orNone(names.map((name) => [name, name]))} />
        <${Text} form=${form} name="owner" label=${t("key.owner")} /><//>
      <${Words} form=${form} name="models" label=${t("key.models")} hint=${t("key.modelsHint")} placeholder=${t("key.all")} suggestions=${(models.data ?? []).map((one) => one.name)} />
      <${Checks} form=${form} name="operations" label=${t("key.operations")} hint=${t("key.operationsHint")} options=${OPERATIONS.map((one) => [one, t(`operation.${one}`)])} />
      <${Moment} form=${form} name="expires_at" label=${t("key.expires")} hint=${t("key.expiresHint")} />
      <${Switch} form=${form} name="enabled" label=${t("common.enabled")} />
      <${More} title=${t("limits.title")} open=${Boolean(found)}><${Limits} form=${form} /><//>
      <${More} title=${t("key.more")}>
        <${Switch} form=${form} name="log_bodies" label=${t("key.logBodies")} hint=${t("key.logBodiesHint")} />
        <${Select} form=${form} name="on_disconnect" label=${t("key.onDisconnect")} hint=${t("key.onDisconnectHint")} options=${[["cancel", t("key.cancel")], ["drain", t("key.drain")]]} />
        <${Pairs} form=${form} name="tags" label=${t("key.tags")} hint=${t("key.tagsHint")} /><//>
    </div><//>`;
}

/** The only time that the secret is shown; `title` where the key is not new. */
export function MadeKey({ made, title = t("key.made", { name: made.name }), onClose }) {
  const origin = location.origin;
  const sample = `curl ${origin}/v1/models -H "Authorization: Bearer ${made.secret}"`;
  return html`<${Sheet} title=${title} onClose=${onClose} footer=${html`<${Button} kind="primary" onClick=${onClose}>${t("common.done")}<//>`}>
    <div class="stack"><${Note} kind="warn" icon="lock">${t("key.once")}<//><${Secret} text=${made.secret} />
      <p class="muted small">${t("key.try")}</p><${Code} text=${sample} /></div><//>`;
}

/** `team`: the one to change; without it one is made. */
export function TeamForm({ team, onClose, onSaved }) {
  const [initial] = useState(() => (team ? picked(team, TEAM) : TEAM));
  const form = useForm(initial, async (values) => {
    const body = tidy(values);
    if (team) await api.patch(at("teams/{}", team.id), changes(tidy(initial), body));
    else await api.post("teams", body);
    toast(t("common.saved"));
    onSaved();
    onClose();
  });
  const footer = html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(team ? "common.save" : "common.create")}<//>`;
  return html`<${Sheet} drawer title=${team ? t("provider.edit", { name: team.name }) : t("teams.add")} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="form"><${FormError} form=${form} />
      <${Text} form=${form} name="name" label=${t("common.name")} hint=${team ? t("team.renameHint") : undefined} />
      <${Text} form=${form} name="remark" label=${t("model.remark")} />
      <${Switch} form=${form} name="enabled" label=${t("common.enabled")} hint=${t("team.enabledHint")} />
      <h3>${t("limits.title")}</h3><p class="muted small">${t("team.limitsHint")}</p><${Limits} form=${form} />
    </div><//>`;
}
