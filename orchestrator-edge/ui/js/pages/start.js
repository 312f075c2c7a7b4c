// The first run: from nothing to a first answer, a step at a time. What is there already is done.

import { html, useState } from "../lib.js";
import { api, may } from "../api.js";
import { t } from "../i18n.js";
import { useQuery } from "../query.js";
import { to } from "../router.js";
import { Badge, Button, Card, Code, LinkButton, Loaded, Note, Page, Problem, Secret } from "../parts/base.js";
import { Icon } from "../parts/icons.js";
import { KeyForm } from "./key-form.js";
import { ImportModels } from "./provider-models.js";
import { ProviderForm } from "./provider-form.js";

export default function Start() {
  const rows = useQuery(async (signal) => {
    const [providers, associations, models, keys] = await Promise.all(["providers", "model-providers", "models", "keys"].map((noun) => api.all(noun, {}, { signal })));
    return { providers, associations, models, keys };
  }, [], { every: 10000 });
  return html`<${Page} title=${t("nav.start")} hint=${t("start.hint")}><${Loaded} of=${rows} lines=${8}>${(data) => html`<${Steps} ...${data} reload=${rows.reload} />`}<//><//>`;
}

function Steps({ providers, associations, models, keys, reload }) {
  const [sheet, setSheet] = useState(null);
  const [secret, setSecret] = useState("");
  const can = may("operator");
  const real = providers.filter((one) => one.kind !== "echo");
  const newest = real.filter((one) => one.enabled).at(-1) ?? real.at(-1);
  const served = models.filter((model) => associations.some((one) => one.model_id === model.id));
  const steps = [
    { key: "provider", done: real.length > 0, body: html`<p class="muted">${t("start.providerHint")}</p>
      <div class="row">${real.slice(-5).map((one) => html`<a key=${one.id} href=${to(`/providers/${one.id}`)}><${Badge} kind="ok">${one.name}<//></a>`)}
        ${can && html`<${Button} kind=${real.length ? "" : "primary"} icon="plus" onClick=${() => setSheet("provider")}>${t("providers.add")}<//>`}</div>` },
    { key: "models", done: served.some((model) => model.name !== "echo"), body: html`<p class="muted">${t("start.modelsHint")}</p>
      <div class="row">${served.slice(-8).map((one) => html`<a key=${one.id} href=${to(`/models/${one.id}`)}><${Badge} kind="ok">${one.name}<//></a>`)}
        ${can && html`<${Button} kind=${served.length > 1 ? "" : "primary"} icon="download" disabled=${!newest} onClick=${() => setSheet("models")}>${newest ? t("start.importFrom", { name: newest.name }) : t("import.open")}<//>
        <${LinkButton} href=${to("/models", { new: "1" })}>${t("models.add")}<//>`}</div>` },
    { key: "key", done: keys.length > 0, body: html`<p class="muted">${t("start.keyHint")}</p>${secret && html`<${Secret} text=${secret} />`}
      <div class="row">${keys.slice(-5).map((one) => html`<a key=${one.id} href=${to(`/keys/${one.id}`)}><${Badge} kind="ok">${one.name}<//></a>`)}
        ${can && html`<${Button} kind=${keys.length ? "" : "primary"} icon="plus" onClick=${() => setSheet("key")}>${t("keys.add")}<//>`}</div>` },
    { key: "answer", done: false, body: html`<${FirstAnswer} models=${served} secret=${secret} setSecret=${setSecret} />` },
  ];
  const now = steps.findIndex((step) => !step.done);
  return html`<${Card}><div class="steps">${steps.map((step, place) => html`<section key=${step.key} class=${`step ${step.done ? "done" : place === now ? "now" : ""}`}>
      <span class="mark" aria-hidden="true">${step.done ? html`<${Icon} name="check" size=${16} />` : place + 1}</span>
      <div class="stack-s"><h2>${t(`start.${step.key}`)}${step.done && html` <span class="sr">${t("common.done")}</span>`}</h2>${step.body}</div></section>`)}</div><//>
    ${sheet === "provider" && html`<${ProviderForm} onClose=${() => setSheet(null)} onSaved=${reload} />`}
    ${sheet === "models" && html`<${ImportModels} provider=${newest} onClose=${() => setSheet(null)} onDone=${reload} />`}
    ${sheet === "key" && html`<${KeyForm} onClose=${() => setSheet(null)} onSaved=${(made) => { reload(); if (made.secret) setSecret(made.secret); }} />`}`;
}

/** Asks a model by the public API, with a caller's key, as any program would. */
function FirstAnswer({ models, secret, setSecret }) {
  const [chosen, setChosen] = useState("");
  const [answer, setAnswer] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const model = chosen || models.find((one) => one.name !== "echo")?.name || models[0]?.name || "";
  const body = { model, messages: [{ role: "user", content: t("start.question") }] };
  const ask = async () => {
    setBusy(true);
    setError(null);
    setAnswer(null);
    try {
      const response = await fetch(new URL("../v1/chat/completions", document.baseURI), { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${secret.trim()}` }, body: JSON.stringify(body) });
      const told = await response.json();
      if (!response.ok) throw new Error(told.error?.message ?? `HTTP ${response.status}`);
      setAnswer({ text: told.choices?.[0]?.message?.content ?? "", provider: response.headers.get("x-orchestrator-provider") });
    } catch (failure) {
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const sample = `curl ${location.origin}/v1/chat/completions \\\n  -H "Authorization: Bearer ${secret.trim() || "YOUR_KEY"}" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body)}'`;
  return html`<p class="muted">${t("start.answerHint")}</p>
    <div class="row"><select class="input half" aria-label=${t("model.one")} value=${model} onChange=${(event) => setChosen(event.target.value)}>${models.map((one) => html`<option key=${one.id} value=${one.name} selected=${one.name === model}>${one.name}</option>`)}</select>
      <input class="input mono half" type="password" autocomplete="off" aria-label=${t("start.yourKey")} placeholder=${t("start.yourKey")} value=${secret} onInput=${(event) => setSecret(event.target.value)} />
      <${Button} kind="primary" icon="play" busy=${busy} disabled=${!model || !secret.trim()} onClick=${ask}>${t("start.ask")}<//></div>
    ${error && html`<${Problem} error=${error} />`}
    ${answer && html`<${Note} kind="ok" icon="check"><b>${t("start.answered", { name: answer.provider })}</b><div class="wrap answer">${answer.text}</div><//>`}
    <${Code} text=${sample} />`;
}
