// Every price in force: what vendors publish, and over it what operators have set.

import { html, useState } from "../lib.js";
import { may } from "../api.js";
import { t } from "../i18n.js";
import { number, price } from "../format.js";
import { KINDS } from "../kinds.js";
import { usePages } from "../query.js";
import { place, setQuery } from "../router.js";
import { Badge, Button, Card, Empty } from "../parts/base.js";
import { Pager, Table } from "../parts/table.js";
import { PriceForm } from "./price-form.js";

const PRICED = [...new Set(KINDS.filter((one) => one.key !== "echo").map((one) => one.preset ?? one.kind))];

export function Prices() {
  const { kind = "" } = place.value.query;
  const pages = usePages("prices", { kind }, { size: 100 });
  const [editing, setEditing] = useState(null);
  const operator = may("operator");
  const amount = (value) => (value === null ? html`<span class="muted nil">–</span>` : price(value));
  const columns = [
    { key: "model", label: t("provider.upstreamModel"), kind: "main-cell", cell: (row) => html`<div><code class="wrap">${row.upstream_model}</code><div class="sub-cell">${row.kind}</div></div>` },
    ...["input", "output", "cached_read", "cache_write"].map((name) => ({ key: name, label: t(`price.${name}`), kind: "num", cell: (row) => amount(row[name]) })),
    { key: "long", label: t("price.long"), kind: "num", cell: (row) => (row.long_prompt ? html`<span title=${t("price.above", { n: number(row.long_prompt.above) })}>${price(row.long_prompt.input)} / ${price(row.long_prompt.output)}</span>` : html`<span class="muted nil">–</span>`) },
    { key: "source", label: t("price.source"), cell: (row) => html`<${Badge} kind=${row.source === "own" ? "accent" : ""} title=${row.version}>${t(`price.${row.source}`)}<//>` },
    { key: "acts", label: "", kind: "acts", cell: (row) => operator && html`<${Button} kind="quiet" size="small" icon="edit" label=${t("price.edit")} onClick=${() => setEditing({ kind: row.kind, name: row.upstream_model, price: row, kindName: row.kind })} />` },
  ];
  return html`<div><div class="filters"><select class="input" aria-label=${t("provider.kind")} value=${kind} onChange=${(event) => setQuery({ kind: event.target.value })}>
      <option value="" selected=${!kind}>${t("price.everyKind")}</option>${PRICED.map((one) => html`<option key=${one} value=${one} selected=${one === kind}>${one}</option>`)}</select>
      <span class="muted small grow">${t("price.unit")}</span>${operator && html`<${Button} icon="plus" onClick=${() => setEditing({})}>${t("price.add")}<//>`}</div>
    <${Card} flush><${Table} label=${t("settings.prices")} columns=${columns} rows=${pages.items} rowKey=${(row) => `${row.kind} ${row.upstream_model}`} error=${pages.error} retry=${pages.reload}
      empty=${html`<${Empty} icon="search" title=${t("common.nothingFound")} />`} /><${Pager} pages=${pages} /><//>
    ${editing && html`<${PriceForm} found=${editing} kinds=${PRICED} onClose=${() => setEditing(null)} onSaved=${pages.reload} />`}</div>`;
}
