// Asks a model as a program does, by the public API and with a caller's key, and shows all that came back.

import { html, useEffect, useMemo, useRef, useState } from "../lib.js";
import { api, at, may, session } from "../api.js";
import { t, word } from "../i18n.js";
import { duration, money, number } from "../format.js";
import { useAction, useQuery } from "../query.js";
import { place, setQuery, to } from "../router.js";
import { Badge, Button, Card, Code, Empty, Facts, LinkButton, Note, Page, Problem, Segmented, Tile } from "../parts/base.js";
import { toast } from "../parts/dialog.js";
import { FormError, Numeric, Pair, Switch, Text, TextArea, useForm } from "../parts/form.js";
import { Icon } from "../parts/icons.js";
import { ask, DIALECTS } from "./playground-dialects.js";
import { SAMPLES } from "./playground-samples.js";

/** Where the key is kept: this tab alone, until it is closed. */
const STORE = "playground-key";
const KEY_HOURS = 12;
const LINES = 400;

export default function Playground() {
  const [key, setKey] = useState(() => sessionStorage.getItem(STORE) ?? "");
  const [turns, setTurns] = useState([]);
  const [run, setRun] = useState(null);
  const controller = useRef(null);
  const { query } = place.value;
  const dialect = DIALECTS[query.dialect] ? query.dialect : "openai_chat";
  const form = useForm({ model: query.model ?? "", system: "", prompt: "", stream: true, temperature: null, max: null }, async () => {});
  const models = useModels();
  const busy = run !== null && run.ended === undefined;
  const keep = (value) => {
    sessionStorage.setItem(STORE, value);
    setKey(value);
  };
  useEffect(() => () => controller.current?.abort(), []);
  // What has been typed by then stays, even between a rendering and its effects.
  useEffect(() => form.setValues((now) => ({ ...now, model: now.model || (models.data?.[0] ?? "") })), [models.data]);
  const { model, system, prompt, stream, temperature, max } = form.values;
  // What got no answer is not said again.
  const said = turns.at(-1)?.role === "user" ? turns.slice(0, -1) : turns;
  const question = { model: model.trim(), system: system.trim(), turns: [...said, { role: "user", text: prompt.trim() }], stream, temperature, max };
  const send = async (event) => {
    event?.preventDefault();
    if (busy || !key.trim() || !question.model || !prompt.trim()) return;
    controller.current = new AbortController();
    setTurns(question.turns);
    form.set("prompt", "");
    const text = await answer(dialect, question, key.trim(), controller.current.signal, setRun);
    if (text) setTurns([...question.turns, { role: "assistant", text }]);
  };
  const fresh = () => {
    controller.current?.abort();
    setTurns([]);
    setRun(null);
  };
  return html`<${Page} title=${t("nav.playground")} hint=${t("play.hint")} actions=${turns.length > 0 && html`<${Button} icon="plus" onClick=${fresh}>${t("play.fresh")}<//>`}>
    <div class="play">
      <div class="stack">
        <${Card}><form class="form" novalidate onSubmit=${send}>
          <${Key} value=${key} set=${keep} />
          <${Text} form=${form} name="model" label=${t("model.one")} mono list="play-models" hint=${t("play.modelHint")} />
          <datalist id="play-models">${(models.data ?? []).map((name) => html`<option key=${name} value=${name} />`)}</datalist>
          <div class="field"><span class="label">${t("play.dialect")}</span><${Segmented} label=${t("play.dialect")} value=${dialect} onChange=${(value) => setQuery({ dialect: value })} options=${Object.keys(DIALECTS).map((one) => [one, word("dialectName", one)])} /></div>
          <${TextArea} form=${form} name="system" label=${t("play.system")} rows=${2} />
          <${Pair}><${Numeric} form=${form} name="temperature" label=${t("play.temperature")} step="0.1" placeholder=${t("play.unset")} /><${Numeric} form=${form} name="max" label=${t("play.max")} min="1" placeholder=${t("play.unset")} /><//>
          <${Switch} form=${form} name="stream" label=${t("play.stream")} />
        </form><//>
      </div>
      <div class="stack">
        <${Card} title=${t("play.conversation")} class="talk">
          <${Conversation} turns=${turns} run=${run} />
          <form class="composer" onSubmit=${send}><${FormError} form=${form} />
            <textarea class="input" rows="3" aria-label=${t("play.prompt")} placeholder=${t("play.promptHint")} value=${prompt} onInput=${(event) => form.set("prompt", event.target.value)}
              onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send(event); }}></textarea>
            ${busy ? html`<${Button} icon="stop" onClick=${() => controller.current?.abort()}>${t("play.stop")}<//>`
              : html`<${Button} kind="primary" type="submit" icon="play" disabled=${!key.trim() || !question.model || !prompt.trim()}>${t("play.send")}<//>`}</form>
        <//>
        ${run && html`<${Result} run=${run} />`}
        <${Samples} dialect=${dialect} question=${prompt.trim() || turns.length === 0 ? question : { ...question, turns: lastAsked(turns) }} />
      </div>
    </div><//>`;
}

/** The turns as far as what was asked last. */
const lastAsked = (turns) => turns.slice(0, turns.findLastIndex((one) => one.role === "user") + 1);

/** The names that may be asked for; patterns are no names. */
const useModels = () => useQuery(async (signal) => {
  const models = await api.all("models", {}, { signal });
  return models.filter((one) => one.enabled !== false && !/[*?]/.test(one.name)).map((one) => one.name).sort((a, b) => Number(a === "echo") - Number(b === "echo") || a.localeCompare(b));
}, []);

/** Asks, and tells `show` how far it is. Gives the answer's text. */
async function answer(dialect, question, key, signal, show) {
  const run = { dialect, text: "", thought: "", lines: [], count: 0, began: Date.now() };
  // A fast stream is drawn sixty times a second, not a thousand times.
  let drawn = 0;
  const draw = () => {
    if (drawn) return;
    drawn = requestAnimationFrame(() => { drawn = 0; if (run.ended === undefined) show({ ...run }); });
  };
  show({ ...run });
  const began = performance.now();
  try {
    await ask(dialect, question, {
      key, signal,
      onHead: (head) => { run.head = head; draw(); },
      onPiece: ({ text, thought, read, written, finish }, ms, line) => {
        if ((text || thought) && run.first === undefined) run.first = ms;
        run.text += text ?? "";
        run.thought += thought ?? "";
        run.read = read ?? run.read;
        run.written = written ?? run.written;
        run.finish = finish ?? run.finish;
        run.count += 1;
        if (run.lines.length < LINES) run.lines.push(line);
        draw();
      },
    });
  } catch (error) {
    run.error = signal.aborted ? null : error instanceof TypeError && !run.head ? { code: "unreachable" } : error;
    run.stopped = signal.aborted;
  }
  run.ended = performance.now() - began;
  show({ ...run });
  return run.text;
}

/** A caller's key: typed, or made for this purpose. */
function Key({ value, set }) {
  const [busy, make] = useAction(async () => {
    try {
      set(await ownKey());
      toast(t("play.keyMade", { hours: KEY_HOURS }));
    } catch (error) { toast(error.message, "bad"); }
  });
  return html`<div class="field"><label for="play-key">${t("start.yourKey")}</label>
    <div class="row nowrap"><input id="play-key" class="input mono" type="password" autocomplete="off" spellcheck="false" value=${value} onInput=${(event) => set(event.target.value)} />
      ${may("operator") && html`<${Button} icon="keys" busy=${busy} onClick=${make}>${t("play.makeKey")}<//>`}</div>
    <span class="hint">${t(may("operator") ? "play.keyHint" : "play.keyHintViewer")}</span></div>`;
}

/** The operator's own key for the playground: the one that there is gets a new secret. */
async function ownKey() {
  const name = `playground-${session.value.actor}`;
  const expires_at = new Date(Date.now() + KEY_HOURS * 3600000).toISOString();
  const found = (await api.all("keys")).find((one) => one.name === name);
  if (!found) return (await api.post("keys", { name, expires_at })).secret;
  await api.patch(at("keys/{}", found.id), { expires_at, enabled: true });
  return (await api.post(at("keys/{}/rotate", found.id), {})).secret;
}

function Conversation({ turns, run }) {
  const end = useRef(null);
  useEffect(() => {
    const box = end.current?.parentElement;
    if (box) box.scrollTop = box.scrollHeight;
  }, [turns.length, run?.text, run?.ended]);
  if (!turns.length) return html`<div class="turns"><${Empty} icon="playground" title=${t("play.empty")}><p>${t("play.emptyHint")}</p><//></div>`;
  const answered = turns.at(-1).role === "assistant";
  return html`<div class="turns" role="log" aria-label=${t("play.conversation")} tabindex="0">
    ${turns.map(({ role, text }, index) => html`<div key=${index} class=${`turn ${role}`}><span class="sr">${t(`play.${role}`)}: </span><div class="bubble">
      ${index === turns.length - 1 && answered && run?.thought && html`<${Thought} text=${run.thought} />`}${text}</div></div>`)}
    ${run && !answered && html`<div class="turn assistant" aria-busy=${String(run.ended === undefined)}><span class="sr">${t("play.assistant")}: </span>${(run.ended === undefined || run.text || run.thought || run.stopped) && html`<div class="bubble">
      ${run.thought && html`<${Thought} text=${run.thought} />`}${run.text}${run.ended === undefined && html`<i class="caret"></i>`}${run.stopped && html`<${Badge}>${t("play.stopped")}<//>`}</div>`}
      ${run.error && html`<${Problem} error=${run.error} />`}</div>`}
    ${run?.error && answered && html`<${Problem} error=${run.error} />`}<span ref=${end}></span></div>`;
}

const Thought = ({ text }) => html`<details class="thought"><summary>${t("play.thought")}</summary>${text}</details>`;

function Result({ run }) {
  const [tab, setTab] = useState("routing");
  const header = (name) => run.head?.headers.find(([one]) => one === name)?.[1];
  const id = header("x-request-id");
  const log = useLog(run.ended !== undefined ? id : undefined);
  const speed = run.written && run.ended && run.first !== undefined && run.ended > run.first ? run.written / ((run.ended - run.first) / 1000) : null;
  const status = run.head?.status;
  const routing = [
    [t("provider.one"), log?.provider || header("x-orchestrator-provider")],
    [t("provider.upstreamModel"), log?.upstream_model || header("x-orchestrator-model")],
    [t("log.attempts"), log ? number(log.attempts) : header("x-orchestrator-attempts")],
    [t("play.overhead"), header("x-orchestrator-overhead-us") && duration(Number(header("x-orchestrator-overhead-us")) / 1000)],
    [t("log.finish"), log?.finish_reason || run.finish],
    [t("play.dropped"), header("x-orchestrator-dropped")],
    [t("log.request_id"), id && html`<code class="wrap">${id}</code>`],
  ];
  return html`<div class="tiles">
      <${Tile} label=${t("play.status")} value=${status ?? "…"} kind=${status >= 400 || run.error ? "bad" : ""} sub=${run.error ? t("play.failed") : run.ended === undefined ? t("play.running") : t("play.pieces", { n: number(run.count) })} />
      <${Tile} label=${t("model.ttft")} value=${duration(run.first)} sub=${speed ? t("log.perSecond", { n: number(speed, 1) }) : ""} />
      <${Tile} label=${t("play.total")} value=${duration(run.ended)} />
      <${Tile} label=${t("dash.tokens")} value=${run.read === undefined ? number(log?.total_tokens) : number(run.read + (run.written ?? 0))} sub=${t("model.tokensSplit", { input: number(run.read ?? log?.prompt_tokens), output: number(run.written ?? log?.completion_tokens) })} />
      <${Tile} label=${t("dash.cost")} value=${money(log?.cost_usd)} sub=${log && log.cost_usd === null ? t("log.noPrice") : ""} />
    </div>
    <${Card} title=${t("play.details")} actions=${html`<${Segmented} label=${t("play.details")} value=${tab} onChange=${setTab} options=${["routing", "headers", "raw"].map((one) => [one, t(`play.${one}`)])} />
        ${log && html`<${LinkButton} size="small" icon="logs" href=${to(`/logs/${log.id}`)}>${t("play.log")}<//>`}`}>
      ${tab === "routing" && html`<${Facts} rows=${routing} />`}
      ${tab === "headers" && html`<${Facts} rows=${(run.head?.headers ?? []).map(([name, value]) => [html`<code>${name}</code>`, html`<code class="wrap">${value}</code>`])} />`}
      ${tab === "raw" && html`<${Code} text=${run.lines.join("\n")} />${run.count > LINES && html`<${Note}>${t("play.cut", { n: LINES })}<//>`}`}<//>`;
}

/** The request's log: it is stored a moment after its end. */
function useLog(id) {
  const [log, setLog] = useState(null);
  useEffect(() => {
    setLog(null);
    if (!id) return undefined;
    const controller = new AbortController();
    const { signal } = controller;
    (async () => {
      for (let wait = 150; wait < 5000 && !signal.aborted; wait *= 1.7) {
        await new Promise((resolve) => setTimeout(resolve, wait));
        const found = await api.list("logs", { request_id: id, page_size: 1 }, { signal }).catch(() => null);
        if (found?.items.length && !signal.aborted) return setLog(found.items[0]);
      }
      return undefined;
    })();
    return () => controller.abort();
  }, [id]);
  return log;
}

function Samples({ dialect, question }) {
  const [which, setWhich] = useState("curl");
  const asked = question.turns.at(-1)?.text ? question : { ...question, turns: [...question.turns.slice(0, -1), { role: "user", text: t("start.question") }] };
  const text = useMemo(() => SAMPLES[which][1](dialect, { ...asked, model: asked.model || "MODEL" }), [which, dialect, JSON.stringify(asked)]);
  return html`<${Card} title=${html`<span class="row"><${Icon} name="copy" size=${16} />${t("play.samples")}</span>`} actions=${html`<${Segmented} label=${t("play.samples")} value=${which} onChange=${setWhich} options=${Object.entries(SAMPLES).map(([one, [name]]) => [one, name])} />`}>
    <${Code} text=${text} /><p class="hint muted small">${t(which === "grpcurl" ? "play.grpcHint" : "play.samplesHint")}</p><//>`;
}
