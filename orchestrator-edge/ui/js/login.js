// Signing in: an admin key for a session's cookie.

import { html, render, useState } from "./lib.js";
import { api, mayBeSignedIn, signIn } from "./api.js";
import { startLanguage, t } from "./i18n.js";
import { LanguageButton, ThemeButton } from "./settings.js";
import { Button, explain, Note } from "./parts/base.js";
import { Icon } from "./parts/icons.js";

const MARK = new URL("../img/mark.svg", import.meta.url).href;
const asked = new URLSearchParams(location.search);

/** To where one was. Only a place of this interface: never an address. */
function proceed() {
  const next = asked.get("next") ?? "";
  location.replace(new URL(`./${next.startsWith("#/") ? next : ""}`, document.baseURI));
}

function message(error) {
  if (error.status === 429) return t("login.slow", { n: error.retryAfter || 1 });
  if (error.status === 401) return t("login.wrong");
  return explain(error);
}

function Login() {
  const [key, setKey] = useState("");
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const onSubmit = async (event) => {
    event.preventDefault();
    if (busy) return;
    // What comes of the field may be typed or filled in by a password manager.
    const given = (event.target.elements.key.value || key).trim();
    if (!given) return setError({ message: t("login.empty") });
    setBusy(true);
    setError(null);
    try {
      await signIn(given);
      proceed();
    } catch (failure) {
      setError(failure);
      setBusy(false);
      document.getElementById("key").select();
    }
  };
  return html`<main class="login"><form class="box" onSubmit=${onSubmit} novalidate>
    <header><img src=${MARK} alt="" /><h1>LLM Orchestrator</h1><p>${t("login.hint")}</p></header>
    ${asked.get("expired") && !error && html`<${Note} kind="warn" icon="warn">${t("login.expired")}<//>`}
    <input type="text" name="username" autocomplete="username" value="admin" hidden aria-hidden="true" tabindex="-1" readonly />
    <div class="field"><label for="key">${t("login.key")}</label>
      <div class="row nowrap"><input id="key" name="key" class="input mono" type=${shown ? "text" : "password"} autocomplete="current-password" spellcheck="false" autofocus
        value=${key} aria-invalid=${error ? "true" : undefined} aria-describedby=${error ? "key-error" : undefined} onInput=${(event) => setKey(event.target.value)} />
      <${Button} kind="quiet" size="small" onClick=${() => setShown(!shown)} aria-pressed=${String(shown)}>${t(shown ? "login.hide" : "login.show")}<//></div>
      ${error && html`<span class="error" id="key-error" role="alert">${error.status === undefined ? error.message : message(error)}</span>`}</div>
    <${Button} kind="primary" type="submit" class="wide" busy=${busy}>${t("login.go")}<//>
    <p class="muted small"><${Icon} name="info" size=${14} /> ${t("login.where")} <code>ADMIN_KEY</code>${t("login.or")} <code>data/admin.key</code></p>
  </form><footer><${LanguageButton} /><${ThemeButton} /></footer></main>`;
}

await startLanguage();
document.title = `${t("login.title")} · LLM Orchestrator`;
// Whoever is signed in already goes on.
if (mayBeSignedIn()) api.get("session", {}, { redirect: false }).then(proceed, () => {});
render(html`<${Login} />`, document.getElementById("app"));
