// Making and changing a provider.

import { html, useState } from "../lib.js";
import { api, at } from "../api.js";
import { t } from "../i18n.js";
import { DIALECTS, KINDS } from "../kinds.js";
import { Button } from "../parts/base.js";
import { Sheet, toast } from "../parts/dialog.js";
import { changes, Checks, FormError, More, Numeric, Pair, Pairs, Select, Switch, Text, TextArea, useForm } from "../parts/form.js";

const FRESH = {
  name: "", kind: "", base_url: "", api_key: "", enabled: true, priority: 100, weight: 100, max_retries: 3, timeout: null, timeouts: null, rate_limit: null, headers: {},
  options: { dialects: [], body_overrides_json: {}, include_usage: null, preset: null, api_version: null, probe: null },
};
const FIELDS = Object.keys(FRESH);

/** `provider`: the one to change; without it one is made. */
export function ProviderForm({ provider, onClose, onSaved }) {
  const [initial] = useState(() => (provider ? Object.fromEntries(FIELDS.filter((name) => name in provider).map((name) => [name, provider[name]])) : FRESH));
  const [choice, setChoice] = useState(provider ? KINDS.find((one) => one.kind === provider.kind) ?? null : null);
  const form = useForm(initial, async (values) => {
    const body = tidy(values);
    const saved = provider ? await api.patch(at("providers/{}", provider.id), changes(tidy(initial), body)) : await api.post("providers", body);
    toast(t(provider ? "common.saved" : "provider.made", { name: saved.name }));
    onClose();
    onSaved(saved);
  });
  const choose = (one) => {
    setChoice(one);
    const named = form.get("name");
    const fresh = !named || KINDS.some((other) => other.key === named);
    form.setValues({ ...form.values, kind: one.kind, name: fresh ? one.key : named, base_url: one.base, options: { ...form.values.options, preset: one.preset ?? null } });
  };
  const footer = html`<${Button} onClick=${onClose}>${t("common.cancel")}<//>
    <${Button} kind="primary" type="submit" busy=${form.busy} disabled=${!choice && !provider}>${t(provider ? "common.save" : "common.create")}<//>`;
  return html`<${Sheet} drawer title=${provider ? t("provider.edit", { name: provider.name }) : t("providers.add")} onClose=${onClose} onSubmit=${form.submit} footer=${footer}>
    <div class="form">
      <${FormError} form=${form} />
      ${!provider && html`<div class="field"><span class="label" id="kinds">${t("provider.which")}</span><div class="choices" role="group" aria-labelledby="kinds">${KINDS.map((one) =>
        html`<button key=${one.key} type="button" class="choice" aria-pressed=${String(choice?.key === one.key)} onClick=${() => choose(one)}><b>${one.name}</b><span>${t(`provider.kind.${one.without ? "echo" : one.keyless ? "local" : one.preset ? "preset" : one.key}`)}</span></button>`)}</div></div>`}
      ${(choice || provider) && html`
        <${Text} form=${form} name="name" label=${t("common.name")} hint=${t("provider.nameHint")} mono />
        ${!choice?.without && html`<${Text} form=${form} name="base_url" label=${t("provider.baseUrl")} mono type="url" placeholder=${choice?.sample ?? choice?.base ?? ""} hint=${choice?.preset ? t("provider.baseUrlPreset") : t("provider.baseUrlHint")} />`}
        ${!provider && !choice?.without && html`<${Text} form=${form} name="api_key" type="password" label=${t("provider.apiKey")} mono hint=${t(choice?.keyless ? "provider.apiKeyOptional" : "provider.apiKeyHint")} autocomplete="new-password" />`}
        ${choice?.kind === "azure_openai" && html`<${Text} form=${form} name="options.api_version" label=${t("provider.apiVersion")} mono placeholder="2024-10-21" hint=${t("provider.apiVersionHint")} />`}
        <${Switch} form=${form} name="enabled" label=${t("provider.enabled")} hint=${t("provider.enabledHint")} />
        <${More} title=${t("provider.routing")} open=${Boolean(provider)}>
          <${Pair}>
            <${Numeric} form=${form} name="priority" label=${t("provider.priority1")} hint=${t("provider.priorityHint")} />
            <${Numeric} form=${form} name="weight" label=${t("provider.weight")} hint=${t("provider.weightHint")} min="1" />
            <${Numeric} form=${form} name="max_retries" label=${t("provider.maxRetries")} hint=${t("provider.maxRetriesHint")} />
            <${Numeric} form=${form} name="rate_limit" label=${t("provider.rateLimit")} hint=${t("provider.rateLimitHint")} min="1" after=${t("unit.perMinute")} />
          <//>
        <//>
        <${More} title=${t("provider.timeouts")}>
          <${Timeouts} form=${form} />
          <${Numeric} form=${form} name="timeout" label=${t("provider.timeout")} hint=${t("provider.timeoutHint")} min="1" after=${t("unit.seconds")} />
        <//>
        <${More} title=${t("provider.advanced")}>
          <${Checks} form=${form} name="options.dialects" label=${t("provider.dialects")} hint=${t("provider.dialectsHint")} options=${DIALECTS.map((one) => [one, one])} />
          <${Select} form=${form} name="options.probe" label=${t("provider.probe")} hint=${t("provider.probeHint")} options=${[["", t("provider.probe.auto")], ["chat", t("provider.probe.chat")], ["models", t("provider.probe.models")], ["off", t("provider.probe.off")]]} />
          <${Pairs} form=${form} name="headers" label=${t("provider.headers")} hint=${t("provider.headersHint")} />
          <${Overrides} form=${form} />
        <//>`}
    </div><//>`;
}

/** The four time-outs of a provider, a model or an association. */
export const Timeouts = ({ form }) => html`<${Pair}>
  ${["connect_ms", "first_token_ms", "idle_ms", "total_ms"].map((name) => html`<${Numeric} key=${name} form=${form} name=${`timeouts.${name}`} label=${t(`timeouts.${name}`)} hint=${t(`timeouts.${name}.hint`)} min="1" after="ms" placeholder=${t("timeouts.inherit")} />`)}<//>`;

/** JSON that every request to the provider carries. What is typed is kept as text until it can be read. */
function Overrides({ form }) {
  const [text, setText] = useState(() => {
    const given = form.get("options.body_overrides_json") ?? {};
    const parsed = Object.fromEntries(Object.entries(given).map(([name, json]) => [name, JSON.parse(json)]));
    return Object.keys(parsed).length ? JSON.stringify(parsed, null, 2) : "";
  });
  const mine = { ...form, get: () => text, set: (name, value) => {
    setText(value);
    let parsed = {};
    try { parsed = value.trim() ? JSON.parse(value) : {}; } catch { return form.set("broken", true); }
    form.set("broken", false);
    form.set(name, Object.fromEntries(Object.entries(parsed).map(([key, one]) => [key, JSON.stringify(one)])));
  } };
  return html`<${TextArea} form=${{ ...mine, errors: form.get("broken") ? { "options.body_overrides_json": t("form.json") } : form.errors }} name="options.body_overrides_json" label=${t("provider.overrides")} hint=${t("provider.overridesHint")} mono rows=${4} placeholder=${'{ "temperature": 0.2 }'} />`;
}

/** As the API takes it: what is empty is unset. */
function tidy({ broken: _, ...values }) {
  if (_) throw Object.assign(new Error(t("form.json")), { field: "options.body_overrides_json" });
  const { options, timeouts, api_key, ...others } = values;
  const set = Object.entries(timeouts ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return {
    ...others,
    ...(api_key ? { api_key } : {}),
    timeouts: set.length ? Object.fromEntries(set) : null,
    options: { ...options, preset: options.preset || null, api_version: options.api_version || null, probe: options.probe || null },
  };
}
