// The configuration as a document: out, and in.

import { html, useState } from "../lib.js";
import { api, may } from "../api.js";
import { t, word } from "../i18n.js";
import { number } from "../format.js";
import { Badge, Button, Card, Note } from "../parts/base.js";
import { toast } from "../parts/dialog.js";
import { Field, FormError, Select, Switch, Text, useForm } from "../parts/form.js";

export const Transfer = () => html`<div class="cols-2"><${Export} />${may("operator") && html`<${Import} />`}</div>`;

/** Has the browser keep a text as a file. */
export function save(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function Export() {
  const form = useForm({ secrets: false, passphrase: "" }, async ({ secrets, passphrase }) => {
    const document = secrets ? await api.post("config/export", { passphrase }) : await api.get("config/export");
    save(JSON.stringify(document, null, 2), `llm-orchestrator-${new Date().toISOString().slice(0, 10)}.json`, "application/json");
  });
  return html`<${Card} title=${t("transfer.export")}><form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("transfer.exportHint")}</p><${FormError} form=${form} />
    ${may("admin") && html`<${Switch} form=${form} name="secrets" label=${t("transfer.secrets")} hint=${t("transfer.secretsHint")} />`}
    ${form.get("secrets") && html`<${Text} form=${form} name="passphrase" type="password" label=${t("transfer.passphrase")} hint=${t("transfer.passphraseHint")} autocomplete="new-password" />`}
    <div><${Button} kind="primary" icon="download" type="submit" busy=${form.busy}>${t("transfer.exportGo")}<//></div></form><//>`;
}

function Import() {
  const [report, setReport] = useState(null);
  const form = useForm({ text: "", on_conflict: "skip", passphrase: "", dry_run: true }, async ({ text, on_conflict, passphrase, dry_run }) => {
    setReport(null);
    let parsed;
    try { parsed = JSON.parse(text); } catch { throw Object.assign(new Error(t("form.json")), { field: "document" }); }
    const found = await api.post("config/import", { document: parsed, on_conflict, dry_run, ...(passphrase ? { passphrase } : {}) });
    setReport(found);
    if (!found.dry_run) toast(t("transfer.imported"));
  });
  const sealed = form.get("text").includes('"sealed"') || form.get("text").includes('"secrets"');
  const read = (event) => {
    const [file] = event.target.files;
    file?.text().then((text) => form.set("text", text));
  };
  return html`<${Card} title=${t("transfer.import")}><form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("transfer.importHint")}</p><${FormError} form=${form} />
    <${Field} form=${form} name="document" label=${t("transfer.document")}>${(attributes) => html`<input ...${attributes} class="input" type="file" accept=".json,application/json" onChange=${read} />`}<//>
    <${Select} form=${form} name="on_conflict" label=${t("transfer.conflict")} options=${[["skip", t("transfer.skip")], ["replace", t("transfer.replace")]]} />
    ${sealed && html`<${Text} form=${form} name="passphrase" type="password" label=${t("transfer.passphrase")} autocomplete="off" />`}
    <${Switch} form=${form} name="dry_run" label=${t("transfer.dryRun")} hint=${t("transfer.dryRunHint")} />
    <div><${Button} kind="primary" icon="upload" type="submit" busy=${form.busy} disabled=${!form.get("text")}>${t(form.get("dry_run") ? "transfer.look" : "transfer.importGo")}<//></div>
    ${report && html`<${Report} report=${report} />`}</form><//>`;
}

function Report({ report }) {
  const counts = ["created", "replaced", "deleted", "unchanged", "skipped", "left_out"].filter((name) => report[name] > 0);
  return html`<div class="stack"><${Note} kind=${report.dry_run ? "" : "ok"} icon=${report.dry_run ? "info" : "check"}>${t(report.dry_run ? "transfer.would" : "transfer.did")}
      <span class="row">${counts.map((name) => html`<${Badge} key=${name}>${t(`transfer.${name}`)} ${number(report[name])}<//>`)}${counts.length === 0 && t("transfer.nothing")}</span><//>
    ${report.notes.map((note) => html`<${Note} key=${note} kind="warn" icon="warn">${note}<//>`)}
    ${report.differences.length > 0 && html`<div class="table-wrap"><table class="table"><thead><tr><th scope="col">${t("audit.action")}</th><th scope="col">${t("audit.target")}</th><th scope="col">${t("audit.changed")}</th></tr></thead>
      <tbody>${report.differences.slice(0, 200).map((one) => html`<tr key=${`${one.noun} ${one.name}`}><td>${word("audit.action", one.action)}</td><td class="wrap">${word("audit.noun", one.noun.toLowerCase().replaceAll(" ", "_"))} <b>${one.name}</b></td>
        <td class="small muted wrap">${one.fields.map((field) => field.field).join(", ")}</td></tr>`)}</tbody></table></div>`}</div>`;
}
