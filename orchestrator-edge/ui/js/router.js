// Where one is: the part of the address behind `#`, a path and a query. Every state of a page that is worth sharing stands in it.

import { computed, signal } from "./lib.js";

function read() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: Object.fromEntries(new URLSearchParams(query)) };
}

/** `{ path, query }` */
export const place = signal(read());
export const path = computed(() => place.value.path);
addEventListener("hashchange", () => { place.value = read(); });

/** The address of a place, for `href`. Empty values of the query are left out. */
export function to(path, query = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(set).toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** Goes there. */
export function go(path, query) {
  location.hash = to(path, query);
}

/** Changes some of the query, without a step in the browser's history. */
export function setQuery(changes) {
  const { path, query } = place.value;
  history.replaceState(null, "", to(path, { ...query, ...changes }));
  place.value = read();
}

/** The names in a pattern such as `/models/:id`, if the path is one of it. */
export function match(pattern, path) {
  const [wanted, given] = [pattern.split("/"), path.split("/")];
  if (wanted.length !== given.length) return null;
  const names = {};
  for (let at = 0; at < wanted.length; at += 1) {
    if (wanted[at].startsWith(":")) {
      if (!given[at]) return null;
      try { names[wanted[at].slice(1)] = decodeURIComponent(given[at]); } catch { return null; }
    } else if (wanted[at] !== given[at]) return null;
  }
  return names;
}
