// The admin REST API (docs/API.md), and nothing else: whatever a page shows or does goes through here.
//
// A session's cookie signs every call; changes carry the header that other sites' pages cannot send. A session that is over leads to the
// sign-in page and back. A gateway that does not answer is looked for until it does: `link` says what is away, `revived` counts its returns.

import { signal } from "./lib.js";

const ADMIN = new URL("../admin/", document.baseURI);
const OURS = { "x-orchestrator-csrf": "1" };
/** How often one looks whether the gateway is there: while it is, and while it is not. */
const BEAT_MS = 8000;
const SEARCH_MS = 1500;

/** What the API answered instead: `{"error":{"code","message","field"?}}`. */
export class ApiError extends Error {
  constructor(status, { code = "unknown", message = `HTTP ${status}`, field = "" } = {}, retryAfter = 0) {
    super(message);
    Object.assign(this, { status, code, field, retryAfter });
  }
}

/** "up", or what is away: "edge" (nothing answers), "core", "database". */
export const link = signal("up");
/** Counts up when the gateway is back: what was asked in vain is asked again. */
export const revived = signal(0);
/** Whose session it is: `{ actor, role, expires_at }`. */
export const session = signal(null);

const RANKS = { viewer: 0, operator: 1, admin: 2 };
/** Whether the session's role is enough. The core decides; this only hides what it would refuse. */
export const may = (role) => RANKS[session.value?.role] >= RANKS[role];

export const adminUrl = (path, query) => {
  const url = new URL(path.replace(/^\//, ""), ADMIN);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
};

/** `/providers/{}/keys` with names that may hold anything. */
export const at = (template, ...names) => template.replace(/\{\}/g, () => encodeURIComponent(names.shift()));

async function ask(method, path, { query, body, headers, signal, redirect = true } = {}) {
  let answer;
  try {
    answer = await fetch(adminUrl(path, query), {
      method,
      signal,
      cache: "no-store",
      headers: { ...OURS, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    away("edge");
    throw new ApiError(0, { code: "unreachable", message: "The gateway does not answer." });
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const error = new ApiError(answer.status, told.error, Number(answer.headers.get("retry-after")) || 0);
  if (error.status === 401 && redirect) signInAgain();
  if (error.code === "unavailable" || error.status === 502 || error.status === 504) away("core");
  if (error.code === "database_unavailable") away("database");
  throw error;
}

async function json(method, path, options) {
  const answer = await ask(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

export const api = {
  get: (path, query, options) => json("GET", path, { query, ...options }),
  post: (path, body, options) => json("POST", path, { body, ...options }),
  put: (path, body, options) => json("PUT", path, { body, ...options }),
  patch: (path, body, options) => json("PATCH", path, { body, ...options }),
  delete: (path, query, options) => json("DELETE", path, { query, ...options }),
  /** A page of a list: `{ items, next }`; `next` is "" on the last one. */
  async list(path, query, options) {
    const answer = await ask("GET", path, { query, ...options });
    return { items: await answer.json(), next: answer.headers.get("next-page-token") ?? "" };
  },
  /** All of a list that is short by nature, up to 5,000. */
  async all(path, query, options) {
    const items = [];
    let token = "";
    do {
      const page = await api.list(path, { page_size: 1000, ...query, page_token: token }, options);
      items.push(...page.items);
      token = page.next;
    } while (token && items.length < 5000);
    return items;
  },
  /** Server-sent events as JSON, until `signal` aborts; an error ends it. `onOpen` is called when they begin. */
  async events(path, query, { signal, onEvent, onOpen }) {
    const answer = await ask("GET", path, { query, signal, headers: { accept: "text/event-stream" } });
    onOpen?.();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) onEvent(JSON.parse(line.slice(5)));
    }
  },
};

// Sessions.

/** Whether there may be a session: the cookie itself no script can read. Without it nothing is asked in vain. */
const SIGNED_IN = "signed-in";
export const mayBeSignedIn = () => localStorage.getItem(SIGNED_IN) !== null;

/** Signs in with an admin key; the cookie is the browser's alone. */
export async function signIn(key) {
  await json("POST", "session", { headers: { authorization: `Bearer ${key}` }, redirect: false });
  localStorage.setItem(SIGNED_IN, "1");
}

export async function signOut() {
  await json("DELETE", "session", { redirect: false });
  localStorage.removeItem(SIGNED_IN);
  location.replace(new URL("login.html", document.baseURI));
}

let leaving = false;
/** To the sign-in page, and from there to where one is. */
export function signInAgain() {
  if (leaving) return;
  leaving = true;
  localStorage.removeItem(SIGNED_IN);
  const url = new URL("login.html", document.baseURI);
  if (session.value) url.searchParams.set("expired", "1");
  if (location.hash.length > 2) url.searchParams.set("next", location.hash);
  location.replace(url);
}

// Whether the gateway is there.

let timer;
function away(what) {
  if (link.value !== what) link.value = what;
  clearTimeout(timer);
  timer = setTimeout(beat, SEARCH_MS);
}

async function beat() {
  clearTimeout(timer);
  if (document.hidden) {
    timer = setTimeout(beat, BEAT_MS);
    return;
  }
  const status = await api.get("status").catch(() => null);
  // What is away has set the timer anew.
  if (status === null) {
    clearTimeout(timer);
    timer = setTimeout(beat, SEARCH_MS);
    return;
  }
  if (status.database !== "up") return away("database");
  if (link.value !== "up") {
    link.value = "up";
    revived.value += 1;
  }
  timer = setTimeout(beat, BEAT_MS);
}

/** Watches from now on. */
export function watchLink() {
  timer = setTimeout(beat, BEAT_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });
}
