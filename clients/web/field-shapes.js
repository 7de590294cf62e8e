/** What the JSON schema of a job asks of each of its fields, and what is wrong with a value. */
import { nameField } from "./spec-fields.js";
import { count } from "./words.js";

/** @typedef {{job: string, output?: string}} JobReference where an earlier job writes */

/**
 * @typedef {object} Shape
 * @property {string} name
 * @property {string} title
 * @property {string} description
 * @property {"text" | "number" | "choice" | "boolean" | "texts" | "numbers" | "map" | "place" | "places"} type
 * @property {boolean} isRequired
 * @property {boolean} isWhole whether its numbers have no fraction
 * @property {unknown} fallback what stands for a field that is left out, null where nothing does
 * @property {string[]} options of a choice
 * @property {string[]} examples values that are suggested; others may do, too
 * @property {object} limits the schema that bounds each text or number
 */

/**
 * The fields of a kind of job, in the order of its schema.
 * @param {object} schema
 * @returns {Shape[]}
 */
export function readShapes(schema) {
  const { kind, ...properties } = schema.properties ?? {};
  return Object.entries(properties).map(([name, property]) => ({
    ...readShape(name, property, (schema.required ?? []).includes(name)),
    title: nameField(kind?.const ?? "", name),
  }));
}

function readShape(name, property, isRequired) {
  const { main, isPlace } = readOptions(property);
  const item = main.type === "array" ? readOptions(main.items ?? {}) : { main, isPlace };
  const limits = item.main;
  return {
    name,
    description: property.description ?? "",
    type: nameType(main, item),
    isRequired,
    isWhole: limits.type === "integer",
    fallback: property.default ?? null,
    options: limits.enum ?? [],
    examples: property.examples ?? [],
    limits,
  };
}

function readOptions(schema) {
  const options = schema.anyOf ?? [schema];
  const main = options.find((one) => one.type && one.type !== "null") ?? {};
  return { main, isPlace: options.some((one) => String(one.$ref ?? "").endsWith("/JobReference")) };
}

function nameType(main, item) {
  const isNumber = ["integer", "number"].includes(item.main.type);
  if (main.type === "array") return item.isPlace ? "places" : isNumber ? "numbers" : "texts";
  if (main.type === "object") return "map";
  if (main.type === "boolean") return "boolean";
  if (item.isPlace) return "place";
  return main.enum ? "choice" : isNumber ? "number" : "text";
}

/**
 * What is wrong with a value, in a sentence; an empty text when nothing is. Undefined is a field that is left out.
 * @param {Shape} shape
 * @param {unknown} value
 * @returns {string}
 */
export function findFault(shape, value) {
  if (value === undefined) return shape.isRequired ? "This is needed." : "";
  const values = Array.isArray(value) ? value : shape.type === "map" ? Object.values(value) : [value];
  return values.map((one) => checkOne(shape, one)).find(Boolean) ?? "";
}

function checkOne(shape, value) {
  if (shape.type === "number" || shape.type === "numbers") return checkNumber(shape, value);
  if (shape.type === "choice" && !shape.options.includes(value)) return `One of ${shape.options.join(", ")}.`;
  return typeof value === "string" ? checkText(shape.limits, value) : "";
}

function checkNumber({ limits, isWhole }, value) {
  const isNumber = typeof value === "number" && Number.isFinite(value) && (!isWhole || Number.isInteger(value));
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = limits;
  const isInside =
    value >= (minimum ?? -Infinity) &&
    value <= (maximum ?? Infinity) &&
    value > (exclusiveMinimum ?? -Infinity) &&
    value < (exclusiveMaximum ?? Infinity);
  if (isNumber && isInside) return "";
  return `Expected ${isWhole ? "a whole number" : "a number"}${describeRange(limits)}, got ${value}.`;
}

function describeRange({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const bounds = [
    [minimum, "of at least"],
    [exclusiveMinimum, "above"],
    [maximum, "of at most"],
    [exclusiveMaximum, "below"],
  ];
  const words = bounds.filter(([bound]) => bound !== undefined).map(([bound, word]) => `${word} ${bound}`);
  return words.length ? ` ${words.join(" and ")}` : "";
}

function checkText({ minLength, maxLength, pattern }, text) {
  if (text.length < (minLength ?? 0)) return `Expected at least ${count(minLength, "character")}.`;
  if (text.length > (maxLength ?? Infinity))
    return `Expected at most ${count(maxLength, "character")}, got ${text.length}.`;
  if (pattern && !new RegExp(pattern, "u").test(text)) return `Expected what matches ${pattern}.`;
  return "";
}

/**
 * Whether two values of fields are the same.
 * @param {unknown} first
 * @param {unknown} second
 * @returns {boolean}
 */
export function isSame(first, second) {
  return JSON.stringify(first ?? null) === JSON.stringify(second ?? null);
}

/**
 * Whether a value says no more than leaving the field out.
 * @param {Shape} shape
 * @param {unknown} value
 * @returns {boolean}
 */
export function isLeftOut(shape, value) {
  if (value === undefined || value === null || value === "") return true;
  const isEmpty = typeof value === "object" && Object.keys(value).length === 0;
  return isEmpty || isSame(value, shape.fallback);
}
