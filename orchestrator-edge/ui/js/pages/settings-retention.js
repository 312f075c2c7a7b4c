// How long request logs are kept, and forgetting some now.

import { html } from "../lib.js";
import { api, may } from "../api.js";
import { t } from "../i18n.js";
import { number } from "../format.js";
import { useQuery } from "../query.js";
import { Button, Card, Loaded } from "../parts/base.js";
import { confirm, toast } from "../parts/dialog.js";
import { FormError, Numeric, Pair, useForm } from "../parts/form.js";

export function Retention() {
  const kept = useQuery((signal) => api.get("retention", {}, { signal }));
  return html`<div class="stack"><${Card} title=${t("retention.title")}><${Loaded} of=${kept}>${(data) => html`<${Keeping} kept=${data} set=${kept.set} />`}<//><//>
    ${may("operator") && html`<${Purge} />`}</div>`;
}

function Keeping({ kept, set }) {
  const form = useForm({ logs_days: kept.logs_days, bodies_days: kept.bodies_days }, async (values) => {
    set(await api.put("retention", values));
    toast(t("common.saved"));
  });
  form.locked = !may("operator");
  return html`<form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("retention.hint")}</p><${FormError} form=${form} /><${Pair}>
      <${Numeric} form=${form} name="logs_days" label=${t("retention.logs")} after=${t("unit.days")} hint=${t("retention.logsHint")} />
      <${Numeric} form=${form} name="bodies_days" label=${t("retention.bodies")} after=${t("unit.days")} hint=${t("retention.bodiesHint")} /><//>
    ${may("operator") && html`<div><${Button} kind="primary" type="submit" busy=${form.busy} disabled=${!form.dirty}>${t("common.save")}<//></div>`}</form>`;
}

function Purge() {
  const form = useForm({ days: 30 }, async ({ days }) => {
    let deleted = 0;
    const done = await confirm({
      title: t("retention.purge"), text: days ? t("retention.purgeText", { n: number(days) }) : t("retention.purgeAll"), action: t("retention.purgeGo"), typed: days ? undefined : "0",
      act: async () => { ({ deleted } = await api.delete("logs", { retention_days: days })); },
    });
    if (done) toast(t("retention.purged", { n: deleted, count: number(deleted) }));
  });
  return html`<${Card} title=${t("retention.purge")}><form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("retention.purgeHint")}</p><${FormError} form=${form} />
    <div class="row"><div class="narrow"><${Numeric} form=${form} name="days" label=${t("retention.olderThan")} after=${t("unit.days")} /></div></div>
    <div><${Button} kind="danger" icon="trash" type="submit" disabled=${form.get("days") === null}>${t("retention.purgeGo")}<//></div></form><//>`;
}
