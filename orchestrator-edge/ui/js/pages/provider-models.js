// What a provider lists, and taking models of it into the catalog.

import { html, useState } from "../lib.js";
import { api, at } from "../api.js";
import { t } from "../i18n.js";
import { number } from "../format.js";
import { useQuery } from "../query.js";
import { Badge, Button, Empty, Loaded } from "../parts/base.js";
import { Sheet, toast } from "../parts/dialog.js";
import { FormError, useForm } from "../parts/form.js";

/** `onDone` gets what the import made. */
export function ImportModels({ provider, onClose, onDone }) {
  const listed = useQuery((signal) => api.get(at("providers/{}/models", provider.id), {}, { signal }), [provider.id]);
  const [search, setSearch] = useState("");
  const [picked, setPicked] = useState(new Set());
  const form = useForm({}, async () => {
    const made = await api.post(at("providers/{}/models/import", provider.id), { models: [...picked] });
    toast(t("import.done", { n: made.associations_created, models: number(made.models_created) }));
    onClose();
    onDone?.(made);
  });
  const shown = (listed.data ?? []).filter((one) => one.name.toLowerCase().includes(search.trim().toLowerCase()));
  const free = shown.filter((one) => !one.imported);
  const pick = (names, on) => {
    const next = new Set(picked);
    for (const name of names) {
      if (on) next.add(name);
      else next.delete(name);
    }
    setPicked(next);
  };
  const all = free.length > 0 && free.every((one) => picked.has(one.name));
  const footer = html`<span class="start muted small">${t("import.picked", { n: number(picked.size) })}</span><${Button} onClick=${onClose}>${t("common.cancel")}<//>
    <${Button} kind="primary" type="submit" icon="download" busy=${form.busy} disabled=${picked.size === 0}>${t("import.go")}<//>`;
  return html`<${Sheet} drawer title=${t("import.title", { name: provider.name })} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="stack"><p class="muted">${t("import.hint")}</p><${FormError} form=${form} />
    <${Loaded} of=${listed} lines=${8}>${(models) => (models.length === 0 ? html`<${Empty} icon="models" title=${t("import.empty")} />` : html`
      <div class="row nowrap"><input class="input" type="search" aria-label=${t("common.search")} placeholder=${t("common.search")} value=${search} onInput=${(event) => setSearch(event.target.value)} />
        <${Button} onClick=${() => pick(free.map((one) => one.name), !all)} disabled=${free.length === 0}>${t(all ? "import.noneOf" : "import.all", { n: number(free.length) })}<//></div>
      <div class="stack-s">${shown.map((one) => html`<label class="check" key=${one.name}><input type="checkbox" checked=${one.imported || picked.has(one.name)} disabled=${one.imported}
        onChange=${(event) => pick([one.name], event.target.checked)} /><code class="wrap grow">${one.name}</code>${one.imported && html`<${Badge} kind="ok">${t("import.there")}<//>`}</label>`)}
        ${shown.length === 0 && html`<p class="muted">${t("common.nothingFound")}</p>`}</div>`)}<//></div><//>`;
}
