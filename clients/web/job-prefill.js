/** Values of a new job from the address: fields by their names, `job:<id>` for the output of a job. */
import { ask } from "./api.js";
import { isSame } from "./field-shapes.js";

const RESERVED = ["kind", "from"];

/**
 * The values of fields that the address names.
 * @param {URLSearchParams} query
 * @param {import("./field-shapes.js").Shape[]} shapes
 * @returns {Record<string, unknown>}
 */
export function readQuery(query, shapes) {
  const named = shapes.filter((shape) => query.has(shape.name) && !RESERVED.includes(shape.name));
  return Object.fromEntries(named.map((shape) => [shape.name, parse(shape, query.getAll(shape.name))]));
}

function parse(shape, texts) {
  const [first] = texts;
  const parsers = {
    boolean: () => first === "true",
    number: () => readNumber(first),
    numbers: () => texts.map(readNumber),
    texts: () => texts,
    place: () => readPlace(first),
    places: () => texts.map(readPlace),
    map: () => Object.fromEntries(texts.map(readEntry)),
  };
  return (parsers[shape.type] ?? (() => first))();
}

function readEntry(text) {
  const [name, value = ""] = text.split(/=(.*)/s);
  return [name, value];
}

function readNumber(text) {
  return text.trim() && Number.isFinite(Number(text)) ? Number(text) : text;
}

function readPlace(text) {
  const [mark, job, output] = text.split(":");
  if (mark !== "job" || !job) return text;
  return output ? { job, output } : { job };
}

/**
 * The kind and the values of a job that is there, without what it has from the defaults.
 * @param {string} id
 * @param {(kind: string) => import("./field-shapes.js").Shape[]} listShapes
 * @returns {Promise<{kind: string, values: Record<string, unknown>}>}
 */
export async function copyJob(id, listShapes) {
  const { spec } = await ask(`/v1/jobs/${encodeURIComponent(id)}`);
  const shapes = listShapes(spec.kind).filter((shape) => !isSame(spec[shape.name], shape.fallback));
  return { kind: spec.kind, values: Object.fromEntries(shapes.map(({ name }) => [name, spec[name]])) };
}
