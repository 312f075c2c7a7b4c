// Every page: its path, how it is loaded, and where it stands in the navigation.
//
// A page is a module whose default export is a component; it gets the names of its path as properties.

/** Path, loader, the navigation's row that is lit. */
export const PAGES = [
  ["/providers", () => import("./pages/providers.js"), "providers"],
  ["/providers/:id", () => import("./pages/provider.js"), "providers"],
];

/** Key (of `nav.KEY` too), path, icon; `null` is a line. `least`: the role that sees it. */
export const NAVIGATION = [
  { key: "providers", path: "/providers", icon: "providers" },
];

/** Where one lands. */
export const HOME = "/providers";
