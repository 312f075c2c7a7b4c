// Setting the price of a provider's model.

import { html } from "../lib.js";
import { api, at } from "../api.js";
import { t } from "../i18n.js";
import { Button } from "../parts/base.js";
import { Sheet, toast, toastError } from "../parts/dialog.js";
import { FormError, Pair, Select, Text, useForm } from "../parts/form.js";

const AMOUNTS = ["input", "output", "cached_read", "cache_write"];

/** `found`: `{ kind, name, price, kindName }`; without a name one is asked for. */
export function PriceForm({ found, kinds = [], onClose, onSaved }) {
  const { kind, name, price, kindName } = found;
  const form = useForm({ kind: kind ?? kinds[0], upstream_model: name ?? "", ...Object.fromEntries(AMOUNTS.map((amount) => [amount, price?.[amount] ?? ""])) }, async (values) => {
    const amounts = Object.fromEntries(AMOUNTS.map((amount) => [amount, values[amount] === "" ? null : values[amount]]));
    await api.post("prices", { kind: values.kind, upstream_model: values.upstream_model, ...amounts });
    toast(t("common.saved"));
    onSaved?.();
    onClose();
  });
  const own = price?.source === "own" && price.upstream_model === name;
  const remove = async () => {
    try {
      await api.delete(at("prices/{}/{}", kind, name));
      onSaved?.();
      onClose();
    } catch (error) {
      toastError(error);
    }
  };
  return html`<${Sheet} title=${name ? t("price.of", { name }) : t("price.add")} onClose=${onClose} onSubmit=${form.submit} footer=${html`${own && html`<${Button} kind="danger" class="start" onClick=${remove}>${t("price.shippedAgain")}<//>`}
      <${Button} onClick=${onClose}>${t("common.cancel")}<//><${Button} kind="primary" type="submit" busy=${form.busy}>${t("common.save")}<//>`}>
    <div class="form"><p class="muted">${name ? t("price.hint", { kind: kindName }) : t("price.addHint")}</p><${FormError} form=${form} />
      ${!name && html`<${Select} form=${form} name="kind" label=${t("provider.kind")} options=${kinds.map((one) => [one, one])} /><${Text} form=${form} name="upstream_model" label=${t("provider.upstreamModel")} mono hint=${t("price.globHint")} />`}
      <${Pair}>${AMOUNTS.map((amount) => html`<${Text} key=${amount} form=${form} name=${amount} label=${t(`price.${amount}`)} mono inputmode="decimal" placeholder="–" />`)}<//></div><//>`;
}
