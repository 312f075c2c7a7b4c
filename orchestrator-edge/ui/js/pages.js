// Every page: its path, how it is loaded, and where it stands in the navigation.
//
// A page is a module whose default export is a component; it gets the names of its path as properties.

/** Path, loader, the navigation's row that is lit. */
export const PAGES = [
  ["/dashboard", () => import("./pages/dashboard.js"), "dashboard"],
  ["/providers", () => import("./pages/providers.js"), "providers"],
  ["/providers/:id", () => import("./pages/provider.js"), "providers"],
  ["/models", () => import("./pages/models.js"), "models"],
  ["/models/:id", () => import("./pages/model.js"), "models"],
  ["/keys", () => import("./pages/keys.js"), "keys"],
  ["/keys/:id", () => import("./pages/key.js"), "keys"],
  ["/logs", () => import("./pages/logs.js"), "logs"],
  ["/logs/:id", () => import("./pages/log.js"), "logs"],
  ["/usage", () => import("./pages/usage.js"), "usage"],
  ["/health", () => import("./pages/health.js"), "health"],
  ["/playground", () => import("./pages/playground.js"), "playground"],
  ["/settings", () => import("./pages/settings.js"), "settings"],
  ["/settings/:tab", () => import("./pages/settings.js"), "settings"],
  ["/start", () => import("./pages/start.js"), "start"],
];

/** Key (of `nav.KEY` too), path, icon; `null` is a line. `least`: the role that sees it. */
export const NAVIGATION = [
  { key: "dashboard", path: "/dashboard", icon: "dashboard" },
  { key: "start", path: "/start", icon: "start", least: "operator" },
  null,
  { key: "providers", path: "/providers", icon: "providers" },
  { key: "models", path: "/models", icon: "models" },
  { key: "keys", path: "/keys", icon: "keys" },
  null,
  { key: "logs", path: "/logs", icon: "logs" },
  { key: "usage", path: "/usage", icon: "usage" },
  { key: "health", path: "/health", icon: "health" },
  { key: "playground", path: "/playground", icon: "playground" },
  null,
  { key: "settings", path: "/settings", icon: "settings" },
];

/** Where one lands. */
export const HOME = "/dashboard";
