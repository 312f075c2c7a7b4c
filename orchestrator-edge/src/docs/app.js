// Renders openapi.json. Everything is made with createElement and text: nothing of the document is taken for markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete", "head"];
const DEEPEST = 8;
let api;

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** What a `$ref` stands for. */
function resolve(value) {
  for (let steps = 0; value && value.$ref && steps < DEEPEST; steps++) {
    value = value.$ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  }
  return value || {};
}

function named(schema) {
  return schema && schema.$ref ? schema.$ref.split("/").pop() : "";
}

/** A schema's type in a few words. */
function typeOf(schema) {
  const known = resolve(schema);
  const name = named(schema);
  if (known.enum) return known.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (known.const !== undefined) return JSON.stringify(known.const);
  const several = known.anyOf || known.allOf;
  if (several) return several.filter((part) => part.type || part.$ref || part.anyOf).map(typeOf).join(known.anyOf ? " | " : " & ");
  if (known.type === "array") return `${typeOf(known.items || {})}[]`;
  const type = [].concat(known.type || "any").join(" | ");
  return (name || type) + (known.format ? ` (${known.format})` : "");
}

/** The object inside a schema, if there is one. */
function inside(schema) {
  const known = resolve(schema);
  if (known.properties) return known;
  if (known.items) return inside(known.items);
  if (known.additionalProperties && known.additionalProperties.properties) return known.additionalProperties;
  const parts = known.allOf || known.anyOf || [];
  const found = parts.map(inside).find(Boolean);
  if (!found) return null;
  const required = parts.flatMap((part) => (known.allOf && part.required) || []);
  return { ...found, required: [...(found.required || []), ...required] };
}

function fields(schema, depth) {
  const object = inside(schema);
  if (!object || depth > DEEPEST) return null;
  const required = new Set(object.required || []);
  return element("ul", { class: "fields" }, ...Object.entries(object.properties).map(([name, property]) => {
    const known = resolve(property);
    const deeper = inside(property) ? later(`fields of ${name}`, () => fields(property, depth + 1)) : null;
    return element("li", {},
      element("code", {}, name), " ", element("span", { class: "type" }, typeOf(property)), " ",
      required.has(name) ? element("span", { class: "needed" }, "required ") : null,
      element("span", { class: "about" }, property.description || known.description || ""), deeper);
  }));
}

/** What is rendered only when it is opened. */
function later(title, render) {
  let filled = false;
  return element("details", { class: "more", ontoggle: (event) => {
    if (filled || !event.target.open) return;
    filled = true;
    event.target.append(render() || "");
  } }, element("summary", {}, title));
}

function example(media) {
  const first = Object.values(media.examples || {})[0];
  return first ? resolve(first).value : undefined;
}

function pretty(value) {
  return element("pre", {}, JSON.stringify(value, null, 2));
}

function curl(path, method, operation, body) {
  const scheme = (operation.security || []).map((each) => Object.keys(each)[0]).find(Boolean);
  const key = !scheme ? "" : ` \\\n  -H "Authorization: Bearer ${scheme.startsWith("admin") ? "$ADMIN_KEY" : "$KEY"}"`;
  const data = body === undefined ? "" : ` \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  const verb = method === "head" ? "-I " : method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return `curl ${verb}"${location.origin}${path}"${key}${data}`;
}

function curlLine(text) {
  const copy = element("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  } }, "Copy");
  return element("pre", { class: "curl" }, text, navigator.clipboard ? copy : null);
}

function parameters(operation) {
  const rows = (operation.parameters || []).map(resolve);
  if (!rows.length) return [];
  return [element("h3", {}, "Parameters"), element("table", {}, element("tbody", {}, ...rows.map((each) => element("tr", {},
    element("td", {}, element("code", {}, each.name), each.required ? element("span", { class: "needed" }, " required") : null),
    element("td", {}, element("span", { class: "type" }, `${each.in}, ${typeOf(each.schema)}`)),
    element("td", { class: "about" }, each.description || "")))))];
}

function medium(type, media) {
  const shown = example(media);
  return [
    element("p", {}, element("code", {}, type), " ", element("span", { class: "type" }, typeOf(media.schema || {}))),
    fields(media.schema || {}, 0),
    shown === undefined ? null : pretty(shown),
  ];
}

function responses(operation) {
  const told = Object.entries(operation.responses).map(([status, response]) => {
    const known = resolve(response);
    const parts = Object.entries(known.content || {}).flatMap(([type, media]) => medium(type, media));
    const title = `${status}: ${known.description}`;
    if (status.startsWith("2")) return element("div", {}, element("p", {}, title), ...parts.filter(Boolean));
    return later(title, () => element("div", {}, ...parts.filter(Boolean)));
  });
  return [element("h3", {}, "Answers"), ...told];
}

function body(path, item, method, operation) {
  const media = operation.requestBody && operation.requestBody.content["application/json"];
  const sent = media && example(media);
  const also = (item.servers || []).map((server) => server.url).filter((url) => url !== "/");
  return element("div", {},
    operation.description ? element("p", {}, operation.description) : null,
    also.length ? element("p", { class: "about" }, "Also under ", ...also.flatMap((url) => [element("code", {}, url + path), " "])) : null,
    curlLine(curl(path, method, operation, sent)),
    ...parameters(operation),
    ...(media ? [element("h3", {}, "Body"), ...medium("application/json", media)] : []),
    ...responses(operation));
}

function operationOf(path, item, method) {
  const operation = item[method];
  let filled = false;
  const made = element("details", { class: "operation", id: operation.operationId, ontoggle: () => {
    if (filled || !made.open) return;
    filled = true;
    made.append(body(path, item, method, operation));
  } }, element("summary", {},
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("span", { class: "path" }, path),
    element("span", { class: "about" }, operation.summary || "")));
  made.dataset.words = [method, path, operation.operationId, operation.summary, operation.description,
    ...(operation.parameters || []).map((each) => resolve(each).name)].join(" ").toLowerCase();
  return made;
}

function group(tag, number) {
  const operations = Object.entries(api.paths).flatMap(([path, item]) => METHODS
    .filter((method) => item[method] && item[method].tags.includes(tag.name))
    .map((method) => operationOf(path, item, method)));
  return element("section", { id: `group-${number}` }, element("h2", {}, tag.name),
    tag.description ? element("p", { class: "note" }, tag.description) : null, ...operations);
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    let shown = 0;
    for (const operation of section.querySelectorAll("details.operation")) {
      operation.hidden = !words.every((word) => operation.dataset.words.includes(word));
      shown += operation.hidden ? 0 : 1;
    }
    section.hidden = !shown;
  }
}

function openNamed() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted && wanted.matches("details.operation")) {
    wanted.open = true;
    wanted.scrollIntoView();
  }
}

async function start() {
  const main = document.getElementById("main");
  try {
    const answer = await fetch("openapi.json");
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    api = await answer.json();
  } catch (error) {
    main.replaceChildren(element("p", { class: "note" }, `The document could not be loaded: ${error.message}`));
    return;
  }
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}: API reference`;
  main.replaceChildren(element("p", { class: "note" }, api.info.description), ...api.tags.map(group));
  document.getElementById("nav").append(...api.tags.map((tag, number) => element("a", { href: `#group-${number}` }, tag.name)));
  const field = document.getElementById("search");
  field.addEventListener("input", () => search(field.value));
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    }
  });
  window.addEventListener("hashchange", openNamed);
  openNamed();
}

start();
