// The form with which an operation is tried, on this server, with the credentials given above.

import { element } from "./schema.js";

// Answers may be long, and streams have no end: only so many characters are shown.
const MOST_SHOWN = 200_000;

export function trial(path, method, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => [parameter, input(parameter)]);
  const media = operation.requestBody?.content["application/json"];
  const body = media
    ? element("textarea", { spellcheck: "false", "aria-label": "Body" },
        JSON.stringify(media.example ?? {}, null, 2))
    : null;
  const output = element("output", { "aria-live": "polite" });
  const send = element("button", { class: "send", type: "submit" }, "Send");
  const stop = element("button", { type: "button", hidden: true }, "Stop");
  const curl = element("button", { type: "button" }, "As curl");
  const request = () => describe(path, method, inputs, body);

  const form = element("form", { class: "trial" },
    element("h3", {}, "Try it"),
    element("div", { class: "inputs" }, ...inputs.map(([, label]) => label)),
    body,
    element("div", { class: "actions" }, send, stop, curl),
    output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const abort = new AbortController();
    stop.onclick = () => abort.abort();
    stop.hidden = false;
    send.disabled = true;
    await perform(request(), abort.signal, output);
    stop.hidden = true;
    send.disabled = false;
  });
  curl.addEventListener("click", () => {
    output.replaceChildren(element("pre", {}, asCurl(request())));
  });
  return form;
}

function input(parameter) {
  const initial = parameter.required ? parameter.example : "";
  return element("label", {}, parameter.name,
    element("input", { value: initial, spellcheck: "false", placeholder: placeholder(parameter) }));
}

function placeholder({ schema, required }) {
  if (required) return "required";
  return Array.isArray(schema.default) || schema.default === undefined ? "" : String(schema.default);
}

function describe(path, method, inputs, body) {
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, label] of inputs) {
    const value = label.querySelector("input").value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") {
      const several = parameter.schema.type === "array" ? value.split(",") : [value];
      for (const each of several) query.append(parameter.name, each.trim());
    } else if (value) headers[parameter.name] = value;
  }
  if (body) headers["Content-Type"] = "application/json";
  const id = document.getElementById("key-id").value;
  const secret = document.getElementById("secret").value;
  if (id || secret) headers.Authorization = `Basic ${base64(`${id}:${secret}`)}`;
  const text = query.toString();
  return { url: text ? `${path}?${text}` : path, method, headers, body: body?.value };
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

async function perform({ url, method, headers, body }, signal, output) {
  const started = performance.now();
  const status = element("p", { class: "caption" }, "…");
  const shown = element("pre");
  output.replaceChildren(status, shown);
  try {
    const answer = await fetch(url, { method, headers, body, signal, credentials: "omit" });
    const took = Math.round(performance.now() - started);
    status.className = `caption ${answer.ok ? "good" : "bad"}`;
    status.textContent = `${answer.status} ${answer.statusText}, ${took} ms`;
    await show(answer, shown);
  } catch (error) {
    if (error.name === "AbortError") status.textContent += ", stopped";
    else {
      status.className = "caption bad";
      status.textContent = `no answer: ${error.message}`;
    }
  }
}

async function show(answer, shown) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text = (text + decoder.decode(value, { stream: true })).slice(-MOST_SHOWN);
    shown.textContent = text;
  }
  if ((answer.headers.get("content-type") ?? "").startsWith("application/json")) {
    shown.textContent = JSON.stringify(JSON.parse(text), null, 2);
  }
}

function asCurl({ url, method, headers, body }) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = [`curl -X ${method} ${quote(location.origin + url)}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quote(`${name}: ${value}`)}`);
  if (body) lines.push(`--data ${quote(body)}`);
  return lines.join(" \\\n  ");
}
