// Numbers, money and times as a reader writes them: in his language and his time zone.

import { signal } from "./lib.js";
import { locale, t } from "./i18n.js";

const made = new Map();
function formatter(kind, options) {
  const key = `${locale.value} ${kind} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Intl[kind](locale.value, options));
  return made.get(key);
}

const NONE = "–";
const is = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

/** 1,234,567 */
export const number = (value, digits = 0) => (is(value) ? formatter("NumberFormat", { maximumFractionDigits: digits }).format(value) : NONE);
/** 1.2M */
export const compact = (value) => {
  if (!is(value)) return NONE;
  return Math.abs(value) < 10000 ? number(value) : formatter("NumberFormat", { notation: "compact", maximumFractionDigits: 1 }).format(value);
};
/** 98.3 % */
export const percent = (value, digits = 1) => (is(value) ? formatter("NumberFormat", { style: "percent", maximumFractionDigits: digits }).format(value / 100) : NONE);
/** Dollars. Small sums keep their first digits. */
export const money = (usd) => {
  if (!is(usd)) return NONE;
  const size = Math.abs(usd);
  const digits = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  return formatter("NumberFormat", { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: digits }).format(usd);
};
/** Dollars for a million tokens: every digit that a price has. */
export const price = (usd) => (is(usd) ? formatter("NumberFormat", { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: 8 }).format(usd) : NONE);
/** 840 ms, 1.24 s, 3 min 20 s, 4 h, 2.5 d */
export const duration = (ms) => {
  if (!is(ms)) return NONE;
  if (ms < 1000) return `${number(ms, ms < 1 ? 2 : ms < 10 ? 1 : 0)}\u00a0ms`;
  if (ms < 59950) return `${number(ms / 1000, ms < 10000 ? 2 : 1)}\u00a0s`;
  if (ms < 3599500) return parts(Math.round(ms / 1000), "minutes", "seconds");
  if (ms < 86370000) return parts(Math.round(ms / 60000), "hours", "minutes");
  return `${number(ms / 86400000, 1)}\u00a0${t("unit.d")}`;
};
/** Sixtieths in two units; the smaller is left out where there is none of it. */
function parts(count, large, small) {
  const rest = count % 60;
  return `${Math.floor(count / 60)}\u00a0${t(`unit.${large}`)}${rest ? ` ${rest}\u00a0${t(`unit.${small}`)}` : ""}`;
}
/** 12.4 MiB */
export const bytes = (value) => {
  if (!is(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (value >= 1024 && place < units.length - 1) { value /= 1024; place += 1; }
  return `${number(value, place ? 1 : 0)} ${units[place]}`;
};

export const dateTime = (at) => (at ? formatter("DateTimeFormat", { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at)) : NONE);
export const date = (at) => (at ? formatter("DateTimeFormat", { dateStyle: "medium" }).format(new Date(at)) : NONE);
export const clockTime = (at) => (at ? formatter("DateTimeFormat", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(at)) : NONE);

/** The present, by the half minute: what reads it is drawn anew as time goes by. */
export const now = signal(Date.now());
setInterval(() => { if (!document.hidden) now.value = Date.now(); }, 30000);

const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 30], ["month", 12], ["year", Infinity]];
/** "3 minutes ago", "in 2 days" */
export function relative(at) {
  if (!at) return NONE;
  // Read, so that it is drawn anew; but what happened since then is not to come.
  void now.value;
  let amount = (new Date(at).getTime() - Date.now()) / 1000;
  if (Math.abs(amount) < 5) return t("time.now");
  for (const [unit, size] of STEPS) {
    if (Math.abs(amount) < size) return formatter("RelativeTimeFormat", { numeric: "auto", style: "short" }).format(Math.round(amount), unit);
    amount /= size;
  }
  return NONE;
}
