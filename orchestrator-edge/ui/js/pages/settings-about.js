// What runs here, and how it is.

import { html } from "../lib.js";
import { api, may, session } from "../api.js";
import { t, word } from "../i18n.js";
import { duration, number } from "../format.js";
import { useAction, useQuery } from "../query.js";
import { Badge, Button, Card, Copy, Facts, Loaded, Status, Time } from "../parts/base.js";
import { toast, toastError } from "../parts/dialog.js";

/** Outside of the admin API: the edge's own word about itself. */
const version = async (signal) => (await fetch(new URL("../version", document.baseURI), { signal })).json();

export function About() {
  const about = useQuery(version);
  const status = useQuery((signal) => api.get("status", {}, { signal }), [], { every: 5000 });
  const queue = useQuery((signal) => api.get("queue", {}, { signal }), [], { every: 5000 });
  const { actor, role, expires_at } = session.value;
  const [busy, reload] = useAction(async () => {
    try {
      const report = await api.post("reload");
      toast(t("settings.reloaded", { n: number(report.created + report.replaced + report.deleted) }));
    } catch (error) {
      toastError(error);
    }
  });
  const origin = location.origin;
  return html`<div class="stack"><div class="cols-2">
    <${Card} title=${t("about.program")}><${Loaded} of=${about}>${(one) => html`<${Facts} rows=${[
      [t("about.version"), html`<b>${one.version}</b>`],
      [t("about.commit"), html`<code>${one.commit}</code>`],
      [t("about.environment"), word("environment", one.environment)],
      [t("about.base"), html`<code class="wrap">${origin}/v1</code> <${Copy} text=${`${origin}/v1`} />`],
    ]} />`}<//><//>
    <${Card} title=${t("about.core")} actions=${may("operator") && html`<${Button} size="small" icon="refresh" busy=${busy} onClick=${reload}>${t("settings.reload")}<//>`}><${Loaded} of=${status}>${(one) => html`<${Facts} rows=${[
      [t("provider.status"), html`<${Status} value=${one.status} />`],
      [t("about.database"), html`<${Badge} kind=${one.database === "up" ? "ok" : "bad"}>${word("database", one.database)}<//>`],
      [t("about.awaySince"), one.database_away_since && html`<${Time} at=${one.database_away_since} full />`],
      [t("about.revision"), number(one.catalog_revision)],
    ]} />`}<//><//>
    <${Card} title=${t("about.queue")}><${Loaded} of=${queue}>${(one) => html`<${Facts} rows=${[
      [t("about.running"), `${number(one.running)} / ${number(one.max_concurrent_sessions)}`],
      [t("about.waiting"), `${number(one.waiting)} / ${number(one.max_queue_length)}`],
      [t("about.shed"), number(one.shed)],
      [t("about.longestWait"), duration(one.max_queue_wait * 1000)],
    ]} />`}<//><//>
    <${Card} title=${t("about.session")}><${Facts} rows=${[
      [t("about.actor"), actor], [t("about.role"), html`<${Badge}>${word("role", role)}<//>`], [t("about.until"), html`<${Time} at=${expires_at} full />`],
    ]} /><//>
  </div></div>`;
}
