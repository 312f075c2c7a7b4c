// What the programs log, changed while they run.

import { html } from "../lib.js";
import { api, may } from "../api.js";
import { t } from "../i18n.js";
import { duration } from "../format.js";
import { useQuery } from "../query.js";
import { Button, Card, Facts, Loaded, Time } from "../parts/base.js";
import { toast, toastError } from "../parts/dialog.js";
import { FormError, Pair, Select, Text, useForm } from "../parts/form.js";

const LEVELS = ["error", "warn", "info", "debug", "trace", "off"];
const ENDS = [900, 3600, 14400, 86400, 0];

export function LogLevel() {
  const level = useQuery((signal) => api.get("log-level", {}, { signal }), [], { every: 10000 });
  return html`<${Card} title=${t("settings.log-level")}><${Loaded} of=${level}>${(data) => html`<div class="stack">
    <${Facts} rows=${[
      [t("logLevel.now"), html`<b class="mono wrap">${data.level}</b>`],
      [t("logLevel.configured"), html`<code class="wrap">${data.configured}</code>`],
      [t("logLevel.until"), data.overruled && (data.expires_at ? html`<${Time} at=${data.expires_at} full />` : t("logLevel.forEver"))],
    ]} />
    ${may("operator") && html`<${Change} level=${data} set=${level.set} />`}</div>`}<//><//>`;
}

function Change({ level, set }) {
  const form = useForm({ choice: LEVELS.includes(level.level) ? level.level : "other", text: level.level, expires: "3600" }, async ({ choice, text, expires }) => {
    set(await api.put("log-level", { level: choice === "other" ? text : choice, expires_seconds: Number(expires) }));
    toast(t("common.saved"));
  });
  const back = () => api.put("log-level", { level: "" }).then(set, toastError);
  return html`<form class="form" novalidate onSubmit=${form.submit}><p class="muted">${t("logLevel.hint")}</p><${FormError} form=${form} />
    <${Pair}><${Select} form=${form} name="choice" label=${t("logLevel.level")} options=${[...LEVELS.map((one) => [one, one]), ["other", t("logLevel.other")]]} />
      <${Select} form=${form} name="expires" label=${t("logLevel.for")} options=${ENDS.map((seconds) => [String(seconds), seconds ? duration(seconds * 1000) : t("logLevel.forEver")])} /><//>
    ${form.get("choice") === "other" && html`<${Text} form=${form} name="text" label=${t("logLevel.filter")} mono hint=${t("logLevel.filterHint")} />`}
    <div class="row"><${Button} kind="primary" type="submit" busy=${form.busy}>${t("common.save")}<//>
      ${level.overruled && html`<${Button} onClick=${back}>${t("logLevel.back")}<//>`}</div></form>`;
}
