// What a page asks the API for: with its loading, its error, its refreshing, and the answer of before until the next is there.

import { useCallback, useEffect, useRef, useState } from "./lib.js";
import { api, link, revived } from "./api.js";

/** Asks when it is first drawn, when `deps` change, when the gateway is back, and every `every` ms while the page is looked at.
 *  Gives `{ data, error, loading, reload, set }`. `data` stays while it is asked again: nothing jumps. */
export function useQuery(question, deps = [], { every = 0, keep = true } = {}) {
  const [state, setState] = useState({ data: undefined, error: null, loading: true });
  const [count, setCount] = useState(0);
  const latest = useRef(question);
  latest.current = question;
  const returns = revived.value;
  useEffect(() => {
    const controller = new AbortController();
    let timer = 0;
    setState((before) => ({ ...before, data: keep ? before.data : undefined, loading: true }));
    const run = async () => {
      if (every && document.hidden) {
        timer = setTimeout(run, every);
        return;
      }
      try {
        const data = await latest.current(controller.signal);
        if (!controller.signal.aborted) setState({ data, error: null, loading: false });
      } catch (error) {
        if (controller.signal.aborted) return;
        // While the gateway is away the banner says so, and what was there stays.
        setState((before) => ({ ...before, error, loading: false }));
      }
      if (every && !controller.signal.aborted) timer = setTimeout(run, every);
    };
    run();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [...deps, count, returns]);
  const reload = useCallback(() => setCount((before) => before + 1), []);
  const set = useCallback((data) => setState({ data, error: null, loading: false }), []);
  const hidden = state.error && state.data !== undefined && link.value !== "up";
  return { ...state, error: hidden ? null : state.error, reload, set };
}

/** A list page by page, as the server gives it. `{ items, error, loading, reload, page, hasNext, hasPrevious, next, previous }` */
export function usePages(path, query = {}, { size = 50, every = 0 } = {}) {
  const filter = JSON.stringify(query);
  const [tokens, setTokens] = useState([""]);
  const known = useRef(filter);
  if (known.current !== filter) {
    known.current = filter;
    if (tokens.length > 1) setTokens([""]);
  }
  const token = tokens.at(-1);
  const asked = useQuery(
    (signal) => api.list(path, { ...query, page_size: size, page_token: token }, { signal }),
    [path, filter, token],
    // Only the first page changes by itself; who reads on is not interrupted.
    { every: tokens.length === 1 ? every : 0 },
  );
  return {
    items: asked.data?.items,
    error: asked.error,
    loading: asked.loading,
    reload: asked.reload,
    page: tokens.length,
    hasNext: Boolean(asked.data?.next),
    hasPrevious: tokens.length > 1,
    next: () => setTokens([...tokens, asked.data.next]),
    previous: () => setTokens(tokens.slice(0, -1)),
  };
}

/** Does something once at a time: `[busy, run]`. */
export function useAction(action) {
  const [busy, setBusy] = useState(false);
  const run = async (...given) => {
    if (busy) return;
    setBusy(true);
    try {
      await action(...given);
    } finally {
      setBusy(false);
    }
  };
  return [busy, run];
}
