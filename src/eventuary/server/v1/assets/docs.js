// Reads the server's OpenAPI document and shows it, by tag: contents beside, operations to open.

import { element, fieldsOf, limitsOf, phrases, prose, resolve, typeName } from "./schema.js";
import { trial } from "./trial.js";

const METHODS = ["get", "post", "put", "delete"];

async function start() {
  const main = document.getElementById("operations");
  let root;
  try {
    root = await (await fetch("/openapi.json")).json();
  } catch (error) {
    main.replaceChildren(element("p", { class: "note" }, `The document can't be read: ${error.message}`));
    return;
  }
  document.getElementById("version").textContent = root.info.version;
  const operations = [];
  for (const [path, methods] of Object.entries(root.paths)) {
    for (const method of METHODS.filter((each) => each in methods)) {
      operations.push({ path, method: method.toUpperCase(), operation: methods[method] });
    }
  }
  const about = element("section", { class: "about" }, ...prose(root.info.description));
  main.replaceChildren(about);
  const contents = document.getElementById("contents");
  for (const tag of root.tags) {
    const those = operations.filter((each) => each.operation.tags[0] === tag.name);
    main.append(section(root, tag, those));
    contents.append(element("h2", {}, tag.name), ...those.map(entry));
  }
  document.getElementById("search").addEventListener("input", (event) => filter(event.target.value));
  openNamed();
  window.addEventListener("hashchange", openNamed);
}

function section(root, tag, those) {
  return element("section", { class: "group" },
    element("div", { class: "tag" },
      element("h2", {}, tag.name), element("p", {}, ...phrases(tag.description))),
    ...those.map((each) => card(root, each)));
}

function entry({ path, method, operation }) {
  return element("a", { href: `#${operation.operationId}`, "data-words": words(path, operation) },
    element("span", { class: `method ${method.toLowerCase()}` }, method),
    element("span", {}, operation.summary));
}

function card(root, { path, method, operation }) {
  const made = element("details",
    { class: "operation", id: operation.operationId, "data-words": words(path, operation) },
    element("summary", {},
      element("span", { class: `method ${method.toLowerCase()}` }, method),
      element("span", { class: "path" }, ...pathParts(path)),
      element("span", { class: "what" }, operation.summary)));
  // What is inside is made when it is opened for the first time.
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) made.append(inside(root, path, method, operation));
  });
  return made;
}

function inside(root, path, method, operation) {
  const success = Object.entries(operation.responses["200"].content)[0];
  const request = operation.requestBody?.content["application/json"];
  return element("div", { class: "inside" },
    ...prose(operation.description),
    operation.parameters ? element("h3", {}, "Parameters") : null,
    operation.parameters ? parameters(root, operation.parameters) : null,
    request ? element("h3", {}, "Body") : null,
    request ? described(root, request) : null,
    element("h3", {}, `Answer 200, ${success[0]}`),
    described(root, success[1]),
    element("h3", {}, "Errors"),
    statuses(root, operation.responses),
    trial(path, method, operation));
}

function parameters(root, list) {
  const rows = list.map((each) => element("tr", {},
    element("td", {}, each.name,
      element("span", { class: "where" }, each.in),
      each.required ? element("span", { class: "required" }, "required") : null),
    element("td", {}, element("code", {}, typeName(root, each.schema))),
    element("td", {}, ...phrases(each.description ?? ""),
      element("div", { class: "limits" }, limitsOf(each.schema)))));
  return element("table", {},
    element("thead", {}, element("tr", {}, ...["Name", "Type", ""].map((text) => element("th", {}, text)))),
    element("tbody", {}, ...rows));
}

function described(root, media) {
  const schema = resolve(root, media.schema);
  const example = media.example;
  return element("div", { class: "pair" },
    schema.properties
      ? element("div", {},
          schema.description ? element("p", { class: "caption" }, ...phrases(schema.description)) : null,
          fieldsOf(root, media.schema))
      : null,
    example === undefined
      ? null
      : element("pre", {}, typeof example === "string" ? example : JSON.stringify(example, null, 2)));
}

function statuses(root, responses) {
  const failures = Object.entries(responses).filter(([status]) => status !== "200");
  return element("ul", { class: "statuses" }, ...failures.map(([status, response]) =>
    element("li", {}, element("b", {}, status), ...phrases(resolve(root, response).description))));
}

function pathParts(path) {
  return path.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? element("em", {}, part) : part));
}

function words(path, operation) {
  return `${path} ${operation.summary} ${operation.operationId} ${operation.tags[0]}`.toLowerCase();
}

function filter(text) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const each of document.querySelectorAll("[data-words]")) {
    each.hidden = !wanted.every((word) => each.dataset.words.includes(word));
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = !group.querySelector(".operation:not([hidden])");
  }
}

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : window.matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

document.getElementById("theme").addEventListener("click", switchTheme);
document.getElementById("credentials").addEventListener("submit", (event) => event.preventDefault());
start();
