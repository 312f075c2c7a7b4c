// What a reader chooses for himself: the theme. It is kept in his browser.

import { html, signal } from "./lib.js";
import { LANGUAGES, locale, setLanguage, t } from "./i18n.js";
import { redrawCharts } from "./parts/chart.js";
import { Icon } from "./parts/icons.js";

const THEMES = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

export const theme = signal(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "auto");

export function setTheme(chosen) {
  theme.value = chosen;
  if (chosen === "auto") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", chosen);
    document.documentElement.dataset.theme = chosen;
  }
  redrawCharts();
}

/** Goes round the three. */
export function ThemeButton() {
  const label = t("theme.is", { theme: t(`theme.${theme.value}`) });
  return html`<button type="button" class="btn quiet icon small" aria-label=${label} title=${label}
    onClick=${() => setTheme(THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length])}><${Icon} name=${ICONS[theme.value]} size=${17} /></button>`;
}

/** Goes to the other language; says its name in itself. */
export function LanguageButton() {
  const [code, name] = LANGUAGES.find(([code]) => code !== locale.value);
  return html`<button type="button" class="btn quiet small" lang=${code} onClick=${() => setLanguage(code)}><${Icon} name="language" size=${16} />${name}</button>`;
}
