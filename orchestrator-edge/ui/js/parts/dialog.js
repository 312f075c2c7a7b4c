// Dialogs, drawers, questions and toasts.

import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "../lib.js";
import { t } from "../i18n.js";
import { Button, explain } from "./base.js";
import { Icon } from "./icons.js";

/** What lies over the page: `drawer` at its side, else in its middle. The browser keeps the focus in it, and gives it back. */
export function Sheet({ title, onClose, drawer, wide, footer, children, onSubmit }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element.showModal();
    const first = element.querySelector("[autofocus]") ?? element.querySelector(".body input:not([disabled]), .body select, .body textarea, .body .choice");
    (first ?? element.querySelector("footer .btn.primary, footer .btn"))?.focus();
    return () => {
      element.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  const onCancel = (event) => {
    event.preventDefault();
    onClose();
  };
  // A click beside it closes a dialog; a drawer may hold what was typed.
  const onPointerDown = (event) => { if (!drawer && event.target === dialog.current) onClose(); };
  const inside = html`<header><h2>${title}</h2><${Button} kind="quiet" icon="close" label=${t("common.close")} onClick=${onClose} /></header>
    <div class="body">${children}</div>${footer && html`<footer>${footer}</footer>`}`;
  return html`<dialog ref=${dialog} class=${`${drawer ? "drawer" : "modal"} ${wide ? "wide" : ""}`} aria-label=${title} onCancel=${onCancel} onPointerDown=${onPointerDown}>
    ${onSubmit ? html`<form class="sheet" novalidate onSubmit=${onSubmit}>${inside}</form>` : html`<div class="sheet">${inside}</div>`}
  </dialog>`;
}

// Questions.

const question = signal(null);

/** Asks before something is done that cannot be undone. `typed`: a name that must be typed. `act`: does it, while the question stands;
 *  its error is shown there. Resolves to whether it was done. */
export const confirm = ({ title, text, action, danger = true, typed, act }) =>
  new Promise((resolve) => { question.value = { title, text, action, danger, typed, act, resolve }; });

export function Questions() {
  const asked = question.value;
  return asked && html`<${Question} key=${asked.title} asked=${asked} />`;
}

function Question({ asked }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const end = (answer) => {
    question.value = null;
    asked.resolve(answer);
  };
  const onSubmit = async (event) => {
    event.preventDefault();
    if (busy || (asked.typed && text !== asked.typed)) return;
    setBusy(true);
    try {
      await asked.act?.();
      end(true);
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const footer = html`<${Button} onClick=${() => end(false)}>${t("common.cancel")}<//>
    <${Button} type="submit" kind=${asked.danger ? "danger solid" : "primary"} busy=${busy} disabled=${asked.typed && text !== asked.typed}>${asked.action}<//>`;
  return html`<${Sheet} title=${asked.title} onClose=${() => end(false)} onSubmit=${onSubmit} footer=${footer}>
    <div class="stack">
      <p class="wrap">${asked.text}</p>
      ${asked.typed && html`<div class="field"><label for="typed">${t("confirm.type", { name: asked.typed })}</label>
        <input id="typed" class="input mono" autocomplete="off" value=${text} onInput=${(event) => setText(event.target.value)} /></div>`}
      ${error && html`<div class="problem" role="alert"><${Icon} name="warn" /><div>${explain(error)}</div></div>`}
    </div><//>`;
}

// Toasts.

const toasts = signal([]);
let count = 0;

/** Says that something was done; `kind` "bad": that it was not. */
export function toast(text, kind = "ok") {
  count += 1;
  const id = count;
  toasts.value = [...toasts.value.slice(-3), { id, text, kind }];
  setTimeout(() => dismiss(id), kind === "bad" ? 9000 : 4000);
}

/** The same, for an error that no form shows. */
export const toastError = (error) => toast(explain(error), "bad");

const dismiss = (id) => { toasts.value = toasts.value.filter((one) => one.id !== id); };

export function Toasts() {
  const box = useRef(null);
  const list = toasts.value;
  const newest = list.at(-1)?.id;
  useEffect(() => {
    // Over whatever dialog was opened last.
    if (!box.current?.showPopover) return;
    if (box.current.matches(":popover-open")) box.current.hidePopover();
    if (list.length) box.current.showPopover();
  }, [newest, list.length]);
  return html`<div class="toasts" popover="manual" ref=${box} role="status" aria-live="polite">
    ${list.map((one) => html`<div key=${one.id} class=${`toast ${one.kind}`}><div>${one.text}</div>
      <button type="button" class="copy" aria-label=${t("common.close")} onClick=${() => dismiss(one.id)}><${Icon} name="close" size=${15} /></button></div>`)}</div>`;
}
