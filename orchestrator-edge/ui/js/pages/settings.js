// Settings: what holds for the gateway as a whole.

import { html } from "../lib.js";
import { may } from "../api.js";
import { t } from "../i18n.js";
import { to } from "../router.js";
import { Page, Tabs } from "../parts/base.js";
import { About } from "./settings-about.js";
import { AdminKeys } from "./settings-admin-keys.js";
import { Audit } from "./settings-audit.js";
import { LogLevel } from "./settings-log-level.js";
import { Prices } from "./settings-prices.js";
import { Retention } from "./settings-retention.js";
import { Transfer } from "./settings-transfer.js";

/** Key, part, the role that it is for. */
const TABS = [
  ["about", About, "viewer"],
  ["prices", Prices, "viewer"],
  ["log-level", LogLevel, "viewer"],
  ["retention", Retention, "viewer"],
  ["transfer", Transfer, "viewer"],
  ["admin-keys", AdminKeys, "admin"],
  ["audit", Audit, "admin"],
];

export default function Settings({ tab = "about" }) {
  const shown = TABS.filter(([, , role]) => may(role));
  const [current, Part] = shown.find(([key]) => key === tab) ?? shown[0];
  return html`<${Page} title=${t("nav.settings")}>
    <div><${Tabs} label=${t("nav.settings")} current=${current} items=${shown.map(([key]) => [key, t(`settings.${key}`), to(`/settings/${key}`)])} />
    <${Part} /></div><//>`;
}
