// Callers' keys, and the teams that they belong to.

import { html, useState } from "../lib.js";
import { api, at, may } from "../api.js";
import { t } from "../i18n.js";
import { money } from "../format.js";
import { usePages } from "../query.js";
import { go, place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Empty, Enabled, Meter, Page, Tabs, Time } from "../parts/base.js";
import { confirm, toast } from "../parts/dialog.js";
import { Pager, Table } from "../parts/table.js";
import { KeyForm, TeamForm } from "./key-form.js";
import { limitsText } from "./limits.js";

export default function Keys() {
  const tab = place.value.query.tab === "teams" ? "teams" : "keys";
  const add = () => setQuery({ new: "1" });
  const canEdit = may("operator");
  return html`<${Page} title=${t("nav.keys")} hint=${t("keys.hint")}
      actions=${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t(tab === "teams" ? "teams.add" : "keys.add")}<//>`}>
    <div><${Tabs} label=${t("nav.keys")} current=${tab} items=${[["keys", t("keys.tab"), to("/keys")], ["teams", t("teams.tab"), to("/keys", { tab: "teams" })]]} />
    ${tab === "teams" ? html`<${TeamList} key="teams" add=${add} />` : html`<${KeyList} key="keys" add=${add} />`}</div><//>`;
}

/** How much of a budget is spent. */
export function BudgetOf({ row }) {
  if (row.budget_usd === null || row.budget_usd === undefined) return html`<span class="muted">${t("limits.none")}</span>`;
  const spent = row.spent_usd ?? 0;
  return html`<div class="stack-s budget"><span class="small"><span class="nowrap">${money(spent)} / ${money(row.budget_usd)}</span> <span class="muted nowrap">${t(`period.${row.budget_period}`)}</span></span>
    <${Meter} value=${row.budget_usd ? spent / row.budget_usd : 1} label=${t("limits.spent")} /></div>`;
}

/** Whether a key is taken now. */
export function KeyState({ row }) {
  const over = row.expires_at && new Date(row.expires_at) <= new Date();
  if (!row.enabled) return html`<${Enabled} value=${false} />`;
  if (over) return html`<${Badge} kind="bad">${t("key.expired")}<//>`;
  return html`<${Badge} kind="ok">${t("status.active")}<//>`;
}

function KeyList({ add }) {
  const pages = usePages("keys", {}, { every: 15000 });
  const canEdit = may("operator");
  const columns = [
    { key: "name", label: t("common.name"), kind: "main-cell", cell: (row) => html`<div><a class="wrap" href=${to(`/keys/${row.id}`)}>${row.name}</a><div class="sub-cell mono">${row.prefix}…</div></div>` },
    { key: "team", label: t("team.one"), cell: (row) => html`<span class="wrap">${[row.team, row.owner].filter(Boolean).join(" · ") || html`<span class="muted">–</span>`}</span>` },
    { key: "models", label: t("key.models"), cell: (row) => (row.models.length ? html`<span class="row">${row.models.slice(0, 3).map((one) => html`<${Badge} key=${one}>${one}<//>`)}${row.models.length > 3 && html`<span class="muted small">+${row.models.length - 3}</span>`}</span>` : html`<span class="muted">${t("key.all")}</span>`) },
    { key: "limits", label: t("limits.title"), cell: (row) => html`<span class="small">${limitsText(row) || html`<span class="muted">${t("limits.none")}</span>`}</span>` },
    { key: "budget", label: t("limits.budget"), cell: (row) => html`<${BudgetOf} row=${row} />` },
    { key: "used", label: t("key.lastUsed"), cell: (row) => html`<${Time} at=${row.last_used_at} />` },
    { key: "state", label: t("provider.status"), cell: (row) => html`<${KeyState} row=${row} />` },
  ];
  const empty = html`<${Empty} icon="keys" title=${t("keys.empty")}><p>${t("keys.emptyHint")}</p>${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t("keys.add")}<//>`}<//>`;
  return html`<${Card} flush>
    <${Table} label=${t("keys.tab")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${empty} href=${(row) => to(`/keys/${row.id}`)} off=${(row) => !row.enabled} />
    <${Pager} pages=${pages} /><//>
    ${place.value.query.new && canEdit && html`<${KeyForm} onClose=${() => setQuery({ new: undefined })} onSaved=${pages.reload} onMade=${(made) => go(`/keys/${made.id}`)} />`}`;
}

function TeamList({ add }) {
  const pages = usePages("teams", {}, { every: 15000 });
  const [editing, setEditing] = useState(null);
  const canEdit = may("operator");
  const remove = async (team) => {
    const done = await confirm({ title: t("team.delete", { name: team.name }), text: t("team.deleteText"), action: t("common.delete"), act: () => api.delete(at("teams/{}", team.id)) });
    if (!done) return;
    toast(t("common.deleted", { name: team.name }));
    pages.reload();
  };
  const columns = [
    { key: "name", label: t("common.name"), kind: "main-cell", cell: (row) => html`<div class="wrap">${row.name}${row.remark && html`<div class="sub-cell">${row.remark}</div>`}</div>` },
    { key: "limits", label: t("limits.title"), cell: (row) => html`<span class="small">${limitsText(row) || html`<span class="muted">${t("limits.none")}</span>`}</span>` },
    { key: "budget", label: t("limits.budget"), cell: (row) => html`<${BudgetOf} row=${row} />` },
    { key: "state", label: t("provider.status"), cell: (row) => html`<${Enabled} value=${row.enabled} />` },
    { key: "acts", label: "", kind: "acts", cell: (row) => canEdit && row.managed_by !== "file" && html`<${Button} kind="quiet" size="small" icon="edit" label=${t("common.edit")} onClick=${() => setEditing(row)} />
      <${Button} kind="quiet" size="small" icon="trash" label=${t("common.delete")} onClick=${() => remove(row)} />` },
  ];
  const empty = html`<${Empty} icon="team" title=${t("teams.empty")}><p>${t("teams.emptyHint")}</p>${canEdit && html`<${Button} kind="primary" icon="plus" onClick=${add}>${t("teams.add")}<//>`}<//>`;
  const close = () => {
    setEditing(null);
    setQuery({ new: undefined });
  };
  return html`<${Card} flush>
    <${Table} label=${t("teams.tab")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${empty} off=${(row) => !row.enabled} />
    <${Pager} pages=${pages} /><//>
    ${(editing || place.value.query.new) && canEdit && html`<${TeamForm} team=${editing} onClose=${close} onSaved=${pages.reload} />`}`;
}
