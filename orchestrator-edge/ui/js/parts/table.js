// Tables. On a phone a row becomes a card.

import { html } from "../lib.js";
import { t } from "../i18n.js";
import { number } from "../format.js";
import { Button, Problem } from "./base.js";

/** `columns`: `[{ key, label, cell: (row) => …, kind }]`, where kind is "", "num", "acts" or "main-cell".
 *  `rows` undefined: loading. `href(row)`: where a click on the row leads. `off(row)`: it is greyed; `mark(row)`: a class of its own. */
export function Table({ columns, rows, rowKey = (row) => row.id, href, off, mark, empty, error, retry, label }) {
  if (rows === undefined && error) return html`<div class="body"><${Problem} error=${error} retry=${retry} /></div>`;
  if (rows?.length === 0) return html`${error && html`<${Problem} error=${error} retry=${retry} />`}${empty}`;
  const onClick = (row) => (event) => {
    // A click on what is itself to be clicked is not the row's.
    if (!href || event.target.closest("a, button, input, select, label") || String(getSelection())) return;
    location.hash = href(row).replace(/^#/, "");
  };
  const body = rows === undefined
    ? Array.from({ length: 4 }, (_, place) => html`<tr key=${place} aria-hidden="true">${columns.map((column) => html`<td class=${column.kind}><span class="skeleton"></span></td>`)}</tr>`)
    : rows.map((row) => html`<tr key=${rowKey(row)} class=${`${href ? "link" : ""} ${off?.(row) ? "off" : ""} ${mark?.(row) ?? ""}`} onClick=${onClick(row)}>
        ${columns.map((column) => html`<td class=${column.kind ?? ""} data-label=${column.label}>${column.cell(row)}</td>`)}</tr>`);
  return html`${error && html`<div class="body"><${Problem} error=${error} retry=${retry} /></div>`}
    <div class="table-wrap" tabindex=${rows?.length ? "0" : undefined} role="region" aria-label=${label}><table class="table cards" aria-busy=${rows === undefined ? "true" : undefined}>
      <thead><tr>${columns.map((column) => html`<th scope="col" class=${column.kind === "num" ? "num" : ""}>${column.kind === "acts" ? html`<span class="sr">${t("common.actions")}</span>` : column.label}</th>`)}</tr></thead>
      <tbody>${body}</tbody>
    </table></div>`;
}

/** Below a table that the server gives page by page; `pages` is what `usePages` gives. Nothing where all is on one page. */
export function Pager({ pages }) {
  if (!pages.hasNext && !pages.hasPrevious) return null;
  return html`<nav class="pager" aria-label=${t("pager.label")}>
    <span>${t("pager.page", { page: number(pages.page) })}</span>
    <${Button} size="small" icon="back" label=${t("pager.previous")} disabled=${!pages.hasPrevious} onClick=${pages.previous} />
    <${Button} size="small" icon="next" label=${t("pager.next")} disabled=${!pages.hasNext} onClick=${pages.next} />
  </nav>`;
}
