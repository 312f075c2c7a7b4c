// How an end of a request is shown: in the list of logs and in one log alike.

import { html } from "../lib.js";
import { word } from "../i18n.js";
import { Badge } from "../parts/base.js";

/** "ok", "warn", "bad" or "": what an outcome is to an operator. */
export function kindOf({ outcome, status }) {
  if (outcome === "ok") return "ok";
  if (outcome === "cancelled" || status === 499) return "";
  return outcome === "truncated" || status === 429 ? "warn" : "bad";
}

/** The status and, where it is no good one, what went wrong. */
export const Outcome = ({ of }) => html`<span class="row nowrap"><${Badge} kind=${kindOf(of)}>${of.status || "–"}<//>${of.outcome !== "ok" && html`<span class="small">${word("outcome", of.outcome)}</span>`}</span>`;
