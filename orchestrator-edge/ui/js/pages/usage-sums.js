// Sums of usage: rows of many hours put together, and written as CSV.

import { t } from "../i18n.js";

const NAMES = { model: "model", provider: "provider", key: "api_key_name", team: "team" };
const ADDED = ["requests", "successes", "failures", "streams", "attempts", "prompt_tokens", "completion_tokens", "cached_read_tokens", "cache_write_tokens", "reasoning_tokens", "total_tokens", "estimated", "unpriced", "cost_nanos"];
const TOLD = [...ADDED.filter((name) => name !== "cost_nanos"), "cost_usd", "success_rate", "average_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "average_ttft_ms"];

/** The names of a row's groups, as an operator reads them. */
export function groupOf(row, { groups, tag }) {
  if (tag !== null) return [row.tag_value || t("usage.noValue")];
  if (groups.length === 0) return [t("usage.all")];
  return groups.map((group) => row[NAMES[group]] || (group === "key" && row.api_key_id) || t(`dash.none.${group}`));
}

/** What makes two rows one group: a key by its id, not by a name that it once had. */
const identity = (row, { groups, tag }) => JSON.stringify(tag !== null ? row.tag_value : groups.map((group) => (group === "key" ? row.api_key_id : row[NAMES[group]])));

const none = () => ({ ...Object.fromEntries(ADDED.map((name) => [name, 0])), cost_usd: 0 });
function add(sum, usage) {
  for (const name of ADDED) sum[name] += usage[name] ?? 0;
  sum.cost_usd = sum.cost_nanos / 1e9;
}

/** `{ total, groups: [{ names, row, …sums }] }` */
export function summed(rows, asked) {
  const total = none();
  const groups = new Map();
  for (const row of rows) {
    const key = identity(row, asked);
    if (!groups.has(key)) groups.set(key, { names: groupOf(row, asked), row, ...none() });
    add(groups.get(key), row.usage);
    add(total, row.usage);
  }
  return { total, groups: [...groups.values()] };
}

/** A spreadsheet takes a text that begins like a formula for one: an apostrophe says that it is none. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Every row as the API gave it (RFC 4180). */
export function toCsv(data) {
  const { groups, tag, rows } = data;
  const names = tag !== null ? [["tag_value", `tag:${tag}`]] : groups.flatMap((group) => (group === "key" ? [["api_key_id", "api_key_id"], ["api_key_name", "api_key_name"]] : [[NAMES[group], group]]));
  const lines = [["start", ...names.map(([, title]) => title), ...TOLD]];
  for (const row of rows) lines.push([row.start, ...names.map(([field]) => row[field]), ...TOLD.map((name) => row.usage[name])]);
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}
