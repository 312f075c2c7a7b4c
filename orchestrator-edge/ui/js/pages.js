// Every page: its path, how it is loaded, and where it stands in the navigation.
//
// A page is a module whose default export is a component; it gets the names of its path as properties.

/** Path, loader, the navigation's row that is lit. */
export const PAGES = [
  ["/providers", () => import("./pages/providers.js"), "providers"],
  ["/providers/:id", () => import("./pages/provider.js"), "providers"],
  ["/models", () => import("./pages/models.js"), "models"],
  ["/models/:id", () => import("./pages/model.js"), "models"],
  ["/keys", () => import("./pages/keys.js"), "keys"],
  ["/keys/:id", () => import("./pages/key.js"), "keys"],
  ["/settings", () => import("./pages/settings.js"), "settings"],
  ["/settings/:tab", () => import("./pages/settings.js"), "settings"],
  ["/start", () => import("./pages/start.js"), "start"],
];

/** Key (of `nav.KEY` too), path, icon; `null` is a line. `least`: the role that sees it. */
export const NAVIGATION = [
  { key: "start", path: "/start", icon: "start", least: "operator" },
  null,
  { key: "providers", path: "/providers", icon: "providers" },
  { key: "models", path: "/models", icon: "models" },
  { key: "keys", path: "/keys", icon: "keys" },
  null,
  { key: "settings", path: "/settings", icon: "settings" },
];

/** Where one lands. */
export const HOME = "/providers";
