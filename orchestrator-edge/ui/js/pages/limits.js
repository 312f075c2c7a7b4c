// The limits of requests and tokens a minute, which keys, teams and models have alike.

import { html } from "../lib.js";
import { compact, number } from "../format.js";
import { t } from "../i18n.js";
import { Numeric } from "../parts/form.js";

/** What a form begins with: neither is set. */
export const NO_RATE = { requests_per_minute: null, tokens_per_minute: null };

/** The fields of both, beside each other in a `Pair`. */
export const RateFields = ({ form }) => html`
  <${Numeric} form=${form} name="requests_per_minute" label=${t("limits.requests")} min="1" after=${t("unit.perMinute")} placeholder=${t("limits.none")} />
  <${Numeric} form=${form} name="tokens_per_minute" label=${t("limits.tokens")} min="1" after=${t("unit.perMinute")} placeholder=${t("limits.none")} />`;

/** Limits in a line; empty where none is set. A model has none of concurrency. */
export function limitsText(row) {
  return [
    row.requests_per_minute && `${number(row.requests_per_minute)}\u00a0${t("limits.requestsShort")}`,
    row.tokens_per_minute && `${compact(row.tokens_per_minute)}\u00a0${t("limits.tokensShort")}`,
    row.max_concurrency && `${number(row.max_concurrency)}\u00a0${t("limits.concurrencyShort")}`,
  ].filter(Boolean).join("\u00a0· ");
}
