// The audit log: who did what, and how it was before.

import { html, useState } from "../lib.js";
import { t, word } from "../i18n.js";
import { dateTime } from "../format.js";
import { usePages } from "../query.js";
import { place, setQuery } from "../router.js";
import { Badge, Button, Card, Code, Copy, Empty, Facts, Time } from "../parts/base.js";
import { Sheet } from "../parts/dialog.js";
import { Pager, Table } from "../parts/table.js";

const ACTIONS = ["create", "update", "delete", "rotate", "reset", "force_check", "test_tools", "purge", "sign_in", "sign_out", "sign_in_failed", "denied", "export_secrets", "read_bodies"];
const NOUNS = ["provider", "provider_key", "model", "model_provider", "api_key", "team", "admin_key", "price", "session", "request_log", "breaker", "health_check_config", "retention", "log_level", "alert", "config", "master_key"];

export function Audit() {
  const { actor = "", action = "", noun = "" } = place.value.query;
  const pages = usePages("audit", { actor, action, noun }, { size: 50, every: 15000 });
  const [shown, setShown] = useState(null);
  const select = (name, value, values) => html`<select class="input" aria-label=${t(`audit.${name}`)} value=${value} onChange=${(event) => setQuery({ [name]: event.target.value })}>
    <option value="" selected=${!value}>${t(`audit.every.${name}`)}</option>${values.map((one) => html`<option key=${one} value=${one} selected=${one === value}>${word(`audit.${name}`, one)}</option>`)}</select>`;
  const columns = [
    { key: "at", label: t("audit.at"), kind: "main-cell", cell: (row) => html`<${Time} at=${row.at} />` },
    { key: "actor", label: t("audit.actor"), cell: (row) => html`<div class="wrap">${row.actor || html`<span class="muted">${t("audit.nobody")}</span>`}<div class="sub-cell">${row.address}</div></div>` },
    { key: "action", label: t("audit.action"), cell: (row) => html`<${Badge} kind=${row.outcome === "refused" ? "bad" : ""}>${word("audit.action", row.action)}<//>` },
    { key: "what", label: t("audit.target"), cell: (row) => html`<div class="wrap">${word("audit.noun", row.noun)} <b>${row.target_name}</b></div>` },
    { key: "changed", label: t("audit.changed"), cell: (row) => html`<${Changed} row=${row} />` },
    { key: "acts", label: "", kind: "acts", cell: (row) => html`<${Button} kind="quiet" size="small" icon="search" label=${t("audit.show")} onClick=${() => setShown(row)} />` },
  ];
  return html`<div><div class="filters">
      <input class="input" type="search" aria-label=${t("audit.actor")} placeholder=${t("audit.actor")} value=${actor} onChange=${(event) => setQuery({ actor: event.target.value.trim() })} />
      ${select("action", action, ACTIONS)}${select("noun", noun, NOUNS)}</div>
    <${Card} flush><${Table} label=${t("settings.audit")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${html`<${Empty} icon="search" title=${t("common.nothingFound")} />`} /><${Pager} pages=${pages} /><//>
    ${shown && html`<${Entry} row=${shown} onClose=${() => setShown(null)} />`}</div>`;
}

const state = (json) => {
  try { return json ? JSON.parse(json) : {}; } catch { return {}; }
};

/** The names of the fields that differ, where there was something before. */
function Changed({ row }) {
  const names = row.state_before_json && row.state_after_json ? changed(row).map(([name]) => name).join(", ") : "";
  return html`<span class=${`small muted wrap ${names ? "" : "nil"}`}>${names}</span>`;
}

/** The fields that differ: `[name, before, after]`. */
function changed(row) {
  const [before, after] = [state(row.state_before_json), state(row.state_after_json)];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name])).map((name) => [name, before[name], after[name]]);
}

function Entry({ row, onClose }) {
  const text = (value) => (value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));
  const fields = changed(row);
  return html`<${Sheet} wide title=${`${word("audit.action", row.action)} · ${word("audit.noun", row.noun)} ${row.target_name}`} onClose=${onClose}>
    <div class="stack"><${Facts} rows=${[[t("audit.at"), dateTime(row.at)], [t("audit.actor"), row.actor || t("audit.nobody")], [t("audit.address"), row.address],
        [t("audit.request"), html`<code class="wrap">${row.request_id}</code> <${Copy} text=${row.request_id} />`], [t("provider.id"), row.target && html`<code class="wrap">${row.target}</code>`]]} />
      ${fields.length > 0 && html`<div class="table-wrap"><table class="table"><thead><tr><th scope="col">${t("audit.field")}</th><th scope="col">${t("audit.before")}</th><th scope="col">${t("audit.after")}</th></tr></thead>
        <tbody>${fields.map(([name, before, after]) => html`<tr key=${name}><td class="mono">${name}</td><td class="wrap">${text(before)}</td><td class="wrap">${text(after)}</td></tr>`)}</tbody></table></div>`}
      ${fields.length === 0 && (row.state_after_json || row.state_before_json) && html`<${Code} text=${JSON.stringify(state(row.state_after_json || row.state_before_json), null, 2)} />`}
    </div><//>`;
}
