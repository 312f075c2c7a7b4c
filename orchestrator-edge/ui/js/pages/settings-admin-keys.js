// Operators' keys: who may do what here.

import { html, useState } from "../lib.js";
import { api, at, session } from "../api.js";
import { t } from "../i18n.js";
import { usePages } from "../query.js";
import { Badge, Button, Card, Empty, Note, Secret, Time } from "../parts/base.js";
import { confirm, Sheet, toast } from "../parts/dialog.js";
import { changes, FormError, Moment, Select, Switch, Text, useForm } from "../parts/form.js";
import { Pager, Table } from "../parts/table.js";
import { KeyState } from "./keys.js";

const ROLES = ["viewer", "operator", "admin"];

export function AdminKeys() {
  const pages = usePages("admin-keys", {}, { every: 15000 });
  const [editing, setEditing] = useState(null);
  const [made, setMade] = useState(null);
  const remove = async (key) => {
    const done = await confirm({ title: t("adminKey.delete", { name: key.name }), text: t("adminKey.deleteText"), action: t("common.delete"), act: () => api.delete(at("admin-keys/{}", key.id)) });
    if (!done) return;
    toast(t("common.deleted", { name: key.name }));
    pages.reload();
  };
  const rotate = async (key) => {
    const done = await confirm({ title: t("key.rotateTitle", { name: key.name }), text: t("adminKey.rotateText"), action: t("key.rotate"), act: async () => { setMade({ ...(await api.post(at("admin-keys/{}/rotate", key.id))), again: true }); } });
    if (done) pages.reload();
  };
  const columns = [
    { key: "name", label: t("common.name"), kind: "main-cell", cell: (row) => html`<div class="wrap">${row.name} ${row.name === session.value.actor && html`<${Badge} kind="accent">${t("adminKey.you")}<//>`}<div class="sub-cell mono">${row.prefix}…</div></div>` },
    { key: "role", label: t("about.role"), cell: (row) => html`<${Badge}>${t(`role.${row.role}`)}<//>` },
    { key: "expires", label: t("key.expires"), cell: (row) => html`<${Time} at=${row.expires_at} />` },
    { key: "created", label: t("common.createdAt"), cell: (row) => html`<${Time} at=${row.created_at} />` },
    { key: "state", label: t("provider.status"), cell: (row) => html`<${KeyState} row=${row} />` },
    { key: "acts", label: "", kind: "acts", cell: (row) => html`<${Button} kind="quiet" size="small" icon="edit" label=${t("common.edit")} onClick=${() => setEditing(row)} />
      <${Button} kind="quiet" size="small" icon="rotate" label=${t("key.rotate")} onClick=${() => rotate(row)} /><${Button} kind="quiet" size="small" icon="trash" label=${t("common.delete")} onClick=${() => remove(row)} />` },
  ];
  const add = html`<${Button} size="small" kind="primary" icon="plus" onClick=${() => setEditing({})}>${t("adminKey.add")}<//>`;
  const empty = html`<${Empty} icon="user" title=${t("adminKey.empty")}><p>${t("adminKey.emptyHint")}</p><//>`;
  return html`<div class="stack"><${Note}>${t("adminKey.hint")}<//>
    <${Card} flush title=${t("settings.admin-keys")} actions=${add}>
      <${Table} label=${t("settings.admin-keys")} columns=${columns} rows=${pages.items} error=${pages.error} retry=${pages.reload} empty=${empty} off=${(row) => !row.enabled} />
      <${Pager} pages=${pages} /><//>
    ${editing && html`<${AdminKeyForm} found=${editing} onClose=${() => setEditing(null)} onSaved=${(saved) => { setEditing(null); pages.reload(); if (saved.secret) setMade(saved); }} />`}
    ${made && html`<${Sheet} title=${t(made.again ? "key.rotateTitle" : "key.made", { name: made.name })} onClose=${() => setMade(null)} footer=${html`<${Button} kind="primary" onClick=${() => setMade(null)}>${t("common.done")}<//>`}>
      <div class="stack"><${Note} kind="warn" icon="lock">${t("key.once")}<//><${Secret} text=${made.secret} /></div><//>`}</div>`;
}

function AdminKeyForm({ found, onClose, onSaved }) {
  const fresh = !found.id;
  const [initial] = useState({ name: found.name ?? "", role: found.role ?? "viewer", enabled: found.enabled ?? true, expires_at: found.expires_at ?? null });
  const form = useForm(initial, async (values) => {
    const saved = fresh ? await api.post("admin-keys", values) : await api.patch(at("admin-keys/{}", found.id), changes(initial, values));
    if (!fresh) toast(t("common.saved"));
    onSaved(saved);
  });
  return html`<${Sheet} title=${fresh ? t("adminKey.add") : t("provider.edit", { name: found.name })} onClose=${onClose} onSubmit=${form.submit}
      footer=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(fresh ? "common.create" : "common.save")}<//>`}>
    <div class="form"><${FormError} form=${form} /><${Text} form=${form} name="name" label=${t("common.name")} hint=${t("adminKey.nameHint")} />
      <${Select} form=${form} name="role" label=${t("about.role")} hint=${t(`role.${form.get("role")}.hint`)} options=${ROLES.map((role) => [role, t(`role.${role}`)])} />
      <${Moment} form=${form} name="expires_at" label=${t("key.expires")} hint=${t("key.expiresHint")} /><${Switch} form=${form} name="enabled" label=${t("common.enabled")} /></div><//>`;
}

