// Shows JSON schemas as nested lists of fields, and makes elements without innerHTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// `code` in backticks and paragraphs are all the markup that the document's texts use.
export function prose(text) {
  return text.split(/\n\n/).map((paragraph) => element("p", {}, ...phrases(paragraph)));
}

export function phrases(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
}

export function resolve(root, schema) {
  while (schema.$ref) {
    schema = schema.$ref.slice(2).split("/").reduce((place, key) => place[key], root);
  }
  return schema;
}

export function typeName(root, schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map((each) => typeName(root, each)).join(" | ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if (schema.type === "array") {
    const items = typeName(root, itemsOf(schema));
    return items.includes(" | ") ? `(${items})[]` : `${items}[]`;
  }
  if (schema.additionalProperties?.type || schema.additionalProperties?.$ref) {
    return `{string: ${typeName(root, schema.additionalProperties)}}`;
  }
  return schema.type ?? "any";
}

export function limitsOf(schema) {
  const parts = (schema.anyOf ?? []).filter((each) => !each.$ref).map(limitsOf).filter(Boolean);
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  const range = (low, high, unit) => {
    if (low === undefined && high === undefined) return;
    if (high === undefined) parts.push(`at least ${low}${unit}`);
    else if (low === undefined) parts.push(`at most ${number(high)}${unit}`);
    else parts.push(`${low} to ${number(high)}${unit}`);
  };
  range(minimum, maximum, "");
  range(minLength, maxLength, " characters");
  range(minItems, maxItems, " items");
  const fallback = schema.default;
  if (fallback !== undefined && fallback !== null && !(Array.isArray(fallback) && !fallback.length)) {
    parts.push(`default ${JSON.stringify(fallback)}`);
  }
  return parts.join(", ");
}

export function fieldsOf(root, schema, depth = 0) {
  const whole = resolve(root, schema);
  const list = element("ul", { class: "fields" });
  for (const [name, field] of Object.entries(whole.properties ?? {})) {
    const required = (whole.required ?? []).includes(name);
    list.append(fieldItem(root, name, field, required, depth));
  }
  return list;
}

function fieldItem(root, name, field, required, depth) {
  const head = [
    element("span", { class: "name" }, name),
    element("span", { class: "type" }, typeName(root, field)),
    required ? element("span", { class: "required" }, "required") : null,
  ];
  const texts = [descriptionOf(field), limitsOf(field)].filter(Boolean).join(" · ");
  const says = texts ? element("span", { class: "says" }, ...phrases(texts)) : null;
  const inner = depth < 5 ? innerStructs(root, field) : [];
  if (!inner.length) return element("li", {}, ...head, says);
  const nested = inner.map((each) => fieldsOf(root, each, depth + 1));
  return element("li", {},
    element("details", { open: depth < 1 }, element("summary", {}, ...head, says), ...nested));
}

function descriptionOf(field) {
  return field.description ?? (field.anyOf ?? []).find((each) => each.description)?.description;
}

function innerStructs(root, field) {
  if (field.type === "array") return innerStructs(root, itemsOf(field));
  const branches = field.anyOf ?? [field];
  return branches.filter((each) => each.$ref && resolve(root, each).properties);
}

function itemsOf(schema) {
  return schema.items || {};
}

function number(value) {
  return value > Number.MAX_SAFE_INTEGER ? "2⁶³−1" : value.toLocaleString("en");
}
