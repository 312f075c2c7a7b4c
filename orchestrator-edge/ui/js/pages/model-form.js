// Making and changing a model, and its associations with providers.

import { html, useState } from "../lib.js";
import { api, at } from "../api.js";
import { t } from "../i18n.js";
import { orNone } from "../kinds.js";
import { useQuery } from "../query.js";
import { Button } from "../parts/base.js";
import { Sheet, toast } from "../parts/dialog.js";
import { changes, FormError, More, Numeric, Pair, Select, Switch, Text, useForm, Words } from "../parts/form.js";
import { NO_RATE, RateFields } from "./limits.js";
import { Timeouts } from "./provider-form.js";

const STRATEGIES = ["priority", "round_robin", "least_latency", "affinity"];
const FRESH = { name: "", remark: "", strategy: "priority", fallbacks: [], max_retry: 2, timeout: null, timeouts: null, enabled: true, ...NO_RATE };

/** Time-outs without those that are inherited. */
export function tidyTimeouts(timeouts) {
  const set = Object.entries(timeouts ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return set.length ? Object.fromEntries(set) : null;
}

const tidy = (values) => ({ ...values, timeouts: tidyTimeouts(values.timeouts) });
const picked = (row, fresh) => Object.fromEntries(Object.keys(fresh).map((name) => [name, row[name] ?? null]));

/** `model`: the one to change; without it one is made. */
export function ModelForm({ model, onClose, onSaved }) {
  const [initial] = useState(() => (model ? picked(model, FRESH) : FRESH));
  const models = useQuery((signal) => api.all("models", {}, { signal }), []);
  const form = useForm(initial, async (values) => {
    const body = tidy(values);
    const saved = model ? await api.patch(at("models/{}", model.id), changes(tidy(initial), body)) : await api.post("models", body);
    toast(t(model ? "common.saved" : "common.made", { name: saved.name }));
    onClose();
    onSaved(saved);
  });
  const footer = html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(model ? "common.save" : "common.create")}<//>`;
  const strategy = form.get("strategy");
  return html`<${Sheet} drawer title=${model ? t("provider.edit", { name: model.name }) : t("models.add")} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="form"><${FormError} form=${form} />
      <${Text} form=${form} name="name" label=${t("common.name")} mono hint=${t("model.nameHint")} />
      <${Text} form=${form} name="remark" label=${t("model.remark")} />
      <${Select} form=${form} name="strategy" label=${t("model.strategy")} hint=${t(`strategy.${strategy}.hint`)} options=${STRATEGIES.map((one) => [one, t(`strategy.${one}`)])} />
      <${Words} form=${form} name="fallbacks" label=${t("model.fallbacks")} hint=${t("model.fallbacksHint")} suggestions=${(models.data ?? []).map((one) => one.name).filter((name) => name !== form.get("name"))} />
      <${Numeric} form=${form} name="max_retry" label=${t("model.maxRetry")} hint=${t("model.maxRetryHint")} />
      <${Switch} form=${form} name="enabled" label=${t("model.enabled")} />
      <${More} title=${t("limits.title")}><p class="muted small">${t("model.limitsHint")}</p><${Pair}><${RateFields} form=${form} /><//><//>
      <${More} title=${t("provider.timeouts")}><${Timeouts} form=${form} /><${Numeric} form=${form} name="timeout" label=${t("provider.timeout")} hint=${t("provider.timeoutHint")} min="1" after=${t("unit.seconds")} /><//>
    </div><//>`;
}

/** What a provider's model can, in a line. */
export const Capabilities = ({ of }) => html`<span class="small">${["tool_call", "structured_output", "image"].filter((one) => of[one]).map((one) => t(`capability.${one}`)).join("\u00a0· ")}</span>`;

const ASSOCIATION = { provider_id: "", provider_model: "", priority: null, weight: 100, timeouts: null, tool_call: true, structured_output: true, image: true, enabled: true };

/** `association`: the one to change; without it one of `model` is made. */
export function AssociationForm({ model, association, providers, onClose, onSaved }) {
  const [initial] = useState(() => (association ? picked(association, ASSOCIATION) : { ...ASSOCIATION, provider_model: model.name }));
  const form = useForm(initial, async (values) => {
    const body = tidy(values);
    if (association) await api.patch(at("model-providers/{}", association.id), changes(tidy(initial), body));
    else await api.post("model-providers", { ...body, model_id: model.id });
    toast(t("common.saved"));
    onClose();
    onSaved();
  });
  const chosen = providers.find((one) => one.id === form.get("provider_id"));
  const footer = html`<${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t(association ? "common.save" : "common.add")}<//>`;
  return html`<${Sheet} drawer title=${t(association ? "association.edit" : "association.add", { name: model.name })} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="form"><${FormError} form=${form} />
      <${Select} form=${form} name="provider_id" label=${t("provider.one")} options=${orNone(providers.map((one) => [one.id, one.name]), t("association.choose"))} />
      <${Text} form=${form} name="provider_model" label=${t("provider.upstreamModel")} mono hint=${t("association.upstreamHint")} />
      <${Pair}>
        <${Numeric} form=${form} name="priority" label=${t("provider.priority1")} hint=${t("association.priorityHint")} placeholder=${chosen ? String(chosen.priority) : ""} />
        <${Numeric} form=${form} name="weight" label=${t("provider.weight")} hint=${t("association.weightHint")} min="1" /><//>
      <div class="field"><span class="label">${t("model.capabilities")}</span><span class="hint">${t("association.capabilitiesHint")}</span></div>
      <${Switch} form=${form} name="tool_call" label=${t("capability.tool_call.long")} />
      <${Switch} form=${form} name="structured_output" label=${t("capability.structured_output.long")} />
      <${Switch} form=${form} name="image" label=${t("capability.image.long")} />
      <${Switch} form=${form} name="enabled" label=${t("provider.enabled")} />
      <${More} title=${t("provider.timeouts")}><${Timeouts} form=${form} /><//>
    </div><//>`;
}
