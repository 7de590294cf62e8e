/** JSON schemas in words and tables. */
import { make } from "./dom.js";

const REF = "#/components/schemas/";

/**
 * The type of a schema in words; named schemas are links to their table.
 * @param {object} schema
 * @param {boolean} [many] in the plural
 * @returns {(Node | string)[]}
 */
export function describeType(schema, many = false) {
  if (schema.$ref) {
    const name = schema.$ref.replace(REF, "");
    return [make("a", { href: `#${schemaId(name)}` }, name)];
  }
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices)
    return join(
      choices.map((one) => describeType(one, many)),
      " or ",
    );
  if ("const" in schema) return [code(JSON.stringify(schema.const))];
  if (schema.enum)
    return join(
      schema.enum.map((value) => [code(JSON.stringify(value))]),
      ", ",
    );
  if (schema.type === "array") return describeList(schema, many);
  if (schema.format === "binary") return [many ? "files" : "file"];
  const types = [schema.type ?? "anything"].flat();
  return [types.map((type) => (many && type in PLURALS ? PLURALS[type] : type)).join(" or ")];
}

/**
 * What a schema demands beyond its type: ranges, lengths, default.
 * @param {object} schema
 * @returns {string}
 */
export function describeLimits(schema) {
  const parts = (schema.anyOf ?? schema.oneOf ?? []).map(describeLimits).filter(Boolean);
  const items = schema.items ? describeLimits(schema.items) : "";
  const [least, most] = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum];
  if (least !== undefined && most !== undefined) {
    parts.push(`${least} to ${"exclusiveMaximum" in schema ? "below " : ""}${most}`);
  } else if (least !== undefined) parts.push(`at least ${least}`);
  else if (most !== undefined) parts.push(`at most ${most}`);
  if (schema.maxItems !== undefined && !schema.prefixItems)
    parts.push(`${schema.minItems ?? 0} to ${schema.maxItems} of them`);
  if (schema.maxLength !== undefined) parts.push(`up to ${schema.maxLength} characters`);
  if (items) parts.push(`each ${items}`);
  return parts.join("; ");
}

/**
 * A table of the properties of an object.
 * @param {object} schema
 * @param {string} caption
 * @returns {HTMLElement}
 */
export function makeProperties(schema, caption) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, one]) => ({
    name,
    schema: one,
    required: required.has(name),
  }));
  return makeTable(rows, caption);
}

/**
 * A table of named schemas.
 * @param {{name: string, where?: string, schema: object, required: boolean, description?: string}[]} rows
 * @param {string} caption
 * @returns {HTMLElement}
 */
export function makeTable(rows, caption) {
  const lines = rows.map(({ name, where, schema, required, description }) => {
    const fallback = "default" in schema ? [" default ", code(JSON.stringify(schema.default))] : [];
    const notes = [description ?? (schema.properties ? "" : schema.description), describeLimits(schema)]
      .filter(Boolean)
      .join("; ");
    const mark = required ? [make("span", { class: "required" }, "required")] : [];
    const place = where && where !== "query" ? [` in ${where}`] : [];
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, code(name), ...place, " ", ...mark),
      make("td", {}, ...describeType(schema)),
      make("td", {}, ...withCode(notes), ...(fallback.length ? [notes ? ";" : "", ...fallback] : [])),
    );
  });
  const head = make("tr", {}, ...["Name", "Type", "Notes"].map((text) => make("th", { scope: "col" }, text)));
  return make(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", { class: "visually-hidden" }, caption),
      make("thead", {}, head),
      make("tbody", {}, ...lines),
    ),
  );
}

/**
 * Text whose words between backticks are code.
 * @param {string} text
 * @returns {(Node | string)[]}
 */
export function withCode(text) {
  return text.split(/`([^`]+)`/).map((part, place) => (place % 2 ? code(part) : part));
}

/**
 * The id of a schema's table.
 * @param {string} name
 * @returns {string}
 */
export function schemaId(name) {
  return `schema-${name}`;
}

const PLURALS = { string: "strings", number: "numbers", integer: "integers", boolean: "booleans", object: "objects" };

function describeList(schema, many) {
  const list = many ? "lists" : "list";
  if (schema.prefixItems)
    return [`${list} of ${schema.prefixItems.length} `, ...describeType(schema.prefixItems[0], true)];
  return [`${list} of `, ...describeType(schema.items ?? {}, true)];
}

function join(parts, separator) {
  return parts.flatMap((part, place) => (place ? [separator, ...part] : part));
}

function code(text) {
  return make("code", { class: "text" }, text);
}
