// Icons, drawn as lines of the text's colour on a field of 24.

import { html } from "../lib.js";

const PATHS = {
  dashboard: "M4 13h6V4H4zM14 20h6V11h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  providers: "M5 5h14v5H5zM5 14h14v5H5zM8 7.5h.01M8 16.5h.01",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12L4 7.5",
  keys: "M14.5 9.5a4.5 4.5 0 1 0-3.7 4.4L13 16h2v2h2v2h3v-3l-5.7-5.7M8.5 9.5h.01",
  logs: "M5 6h14M5 10h14M5 14h9M5 18h6",
  usage: "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6",
  health: "M3 12h4l2.5-6 4 12 2.5-6h5",
  playground: "M5 5h14v10H9l-4 4z",
  settings: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM19 12l2-1-1-3-2.3.2-1.4-1.4L16.500 4.500l-3-1-1 2h-1l-1-2-3 1 .2 2.300L6.300 8.200 4 8l-1 3 2 1-2 1 1 3 2.300-.2 1.400 1.400-.2 2.300 3 1 1-2h1l1 2 3-1-.2-2.300 1.400-1.400 2.300.2 1-3z",
  start: "M5 12l4 4L19 6",
  plus: "M12 5v14M5 12h14",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M10 11v6M14 11v6M7 7l1 13h8l1-13M9 7V4h6v3",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12l5 5L20 7",
  close: "M6 6l12 12M18 6L6 18",
  warn: "M12 4l9 16H3zM12 10v4M12 17h.01",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8h.01",
  refresh: "M20 11a8 8 0 0 0-14-5L4 8M4 4v4h4M4 13a8 8 0 0 0 14 5l2-2M20 20v-4h-4",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  down: "M5 9l7 7 7-7",
  menu: "M4 7h16M4 12h16M4 17h16",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M19 5l-1.500 1.500M6.500 17.500L5 19",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18z",
  language: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  out: "M14 4h5v16h-5M10 8l-4 4 4 4M6 12h10",
  rotate: "M20 12a8 8 0 1 1-2.500-5.800L20 8M20 3v5h-5",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  upload: "M12 16V5M7 9l5-5 5 5M5 20h14",
  play: "M7 5l12 7-12 7z",
  stop: "M6 6h12v12H6z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4 4",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c1-5 4-6 8-6s7 1 8 6",
  team: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c.7-4 3-5 6.500-5s5.800 1 6.500 5M16 11a3 3 0 0 0 0-6M17 15c2.700.2 4 1.500 4.500 5",
  link: "M10 14l4-4M8.500 11.500l-3 3a3 3 0 0 0 4.200 4.200l3-3M15.500 12.500l3-3a3 3 0 0 0-4.200-4.200l-3 3",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  bell: "M6 17h12l-1.500-2.500V10a4.500 4.500 0 0 0-9 0v4.500zM10 20h4",
  tools: "M14 6a4 4 0 0 0-5 5l-6 6 3 3 6-6a4 4 0 0 0 5-5l-2.500 2.500L12 9z",
  spinner: "M12 3a9 9 0 1 0 9 9",
};

/** `<${Icon} name="plus" size=${18} />`: says nothing to a screen reader; who shows one alone labels its button. */
export function Icon({ name, size = 18, class: className = "" }) {
  return html`<svg class=${className} width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
