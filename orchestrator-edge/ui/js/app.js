// The admin interface: who is signed in, the frame, and the page that the address names.

import { html, render, useEffect, useErrorBoundary, useState, signal } from "./lib.js";
import { api, link, may, mayBeSignedIn, session, signInAgain, signOut, watchLink } from "./api.js";
import { locale, startLanguage, t, word } from "./i18n.js";
import { HOME, NAVIGATION, PAGES } from "./pages.js";
import { go, match, path, to } from "./router.js";
import { LanguageButton, ThemeButton } from "./settings.js";
import { Badge, Button, Empty, LinkButton, Problem } from "./parts/base.js";
import { Questions, Toasts, toastError } from "./parts/dialog.js";
import { Icon } from "./parts/icons.js";

const MARK = new URL("../img/mark.svg", import.meta.url).href;
const menu = signal(false);
const arriving = signal(false);

/** The page of a path: `{ load, names, nav, pattern }`. */
function find(path) {
  for (const [pattern, load, nav] of PAGES) {
    const names = match(pattern, path === "/" ? HOME : path);
    if (names) return { load, names, nav, pattern };
  }
  return null;
}

/** The page itself. The one of before stays until the next is loaded, so that nothing flashes. */
function Current() {
  const [shown, setShown] = useState(null);
  const [failed, retry] = useErrorBoundary();
  const where = path.value;
  useEffect(() => {
    let stale = false;
    const found = find(where);
    if (failed) retry();
    if (!found) return setShown({ where, missing: true });
    arriving.value = true;
    found.load().then(
      (module) => { if (!stale) setShown({ where, Component: module.default, ...found }); },
      (error) => { if (!stale) setShown({ where, error }); },
    ).finally(() => { arriving.value = false; });
    return () => { stale = true; };
  }, [where]);
  useEffect(() => { if (shown) scrollTo(0, 0); }, [shown?.where]);
  if (failed) return html`<${Problem} error=${failed} retry=${retry} />`;
  if (!shown) return null;
  if (shown.error) return html`<${Problem} error=${{ message: t("page.unloadable") }} retry=${() => location.reload()} />`;
  if (shown.missing) return html`<${Empty} icon="search" title=${t("page.missing")}><${LinkButton} href=${to(HOME)}>${t("page.home")}<//><//>`;
  return html`<${shown.Component} key=${`${shown.pattern} ${JSON.stringify(shown.names)}`} ...${shown.names} />`;
}

function Navigation() {
  const current = find(path.value)?.nav;
  return html`<nav class="nav" aria-label=${t("nav.label")}>${NAVIGATION.map((row, place) => {
    if (row === null) return html`<div class="sep" key=${place}></div>`;
    if (row.least && !may(row.least)) return null;
    return html`<a key=${row.key} href=${to(row.path)} aria-current=${row.key === current ? "page" : undefined} onClick=${() => { menu.value = false; }}>
      <${Icon} name=${row.icon} />${t(`nav.${row.key}`)}</a>`;
  })}</nav>`;
}

function Side() {
  const { actor, role } = session.value;
  const leave = () => signOut().catch(toastError);
  return html`<aside class=${`side ${menu.value ? "open" : ""}`} id="side">
    <a class="brand" href=${to(HOME)}><img src=${MARK} alt="" /><span>LLM Orchestrator</span></a>
    <${Navigation} />
    <div class="grow"></div>
    <div class="who">
      <div class="name"><${Icon} name="user" /><b title=${actor}>${actor}</b><${Badge}>${word("role", role)}<//></div>
      <div class="tools"><${ThemeButton} /><${LanguageButton} /><span class="grow"></span>
        <${Button} kind="quiet" size="small" icon="out" label=${t("nav.out")} onClick=${leave} /></div>
    </div>
  </aside>${menu.value && html`<button class="shade" aria-label=${t("common.close")} onClick=${() => { menu.value = false; }}></button>`}`;
}

/** What is away, where something is. */
function Away() {
  const away = link.value;
  if (away === "up") return null;
  return html`<div class=${`banner ${away === "database" ? "warn" : "bad"}`} role="alert"><${Icon} name="warn" />${t(`link.${away}`)}</div>`;
}

function Frame() {
  void locale.value;
  useEffect(() => {
    const close = (event) => { if (event.key === "Escape") menu.value = false; };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, []);
  const skip = (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>${t("nav.skip")}</a>
    ${arriving.value && html`<div class="progress" aria-hidden="true"><i></i></div>`}
    <div class="frame">
      <div class="topbar"><${Button} kind="quiet" icon="menu" label=${t("nav.menu")} aria-expanded=${String(menu.value)} aria-controls="side" onClick=${() => { menu.value = !menu.value; }} />
        <a class="brand" href=${to(HOME)}><img src=${MARK} alt="" /><span>LLM Orchestrator</span></a></div>
      <${Side} />
      <main class="main" id="main" tabindex="-1"><${Away} /><div class="content"><${Current} /></div></main>
    </div><${Questions} /><${Toasts} />`;
}

/** Whether nobody but the echo answers here yet: who may change that is led to it. */
async function isNew() {
  if (!may("operator")) return false;
  const { items } = await api.list("providers", { page_size: 2 }).catch(() => ({ items: [{}] }));
  return items.every((one) => one.kind === "echo");
}

/** Until the session is known there is nothing to show; a gateway that is away is waited for. */
async function begin() {
  if (!mayBeSignedIn()) return signInAgain();
  await startLanguage();
  for (;;) {
    try {
      session.value = await api.get("session");
      break;
    } catch (error) {
      if (error.status === 401) return;
      render(html`<div class="login"><div class="box"><${Problem} error=${{ message: t(error.status === 0 ? "link.edge" : "link.core") }} /></div></div>`, document.getElementById("app"));
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
  if (location.hash.length < 3 && (await isNew())) go("/start");
  watchLink();
  render(html`<${Frame} />`, document.getElementById("app"));
}

begin();
