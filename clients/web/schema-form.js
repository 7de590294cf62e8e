/** The fields of a kind of job as a form: those that matter first, the others in groups that open. */
import { make } from "./dom.js";
import { readShapes } from "./field-shapes.js";
import { makeJobField } from "./job-field.js";
import { arrange } from "./spec-fields.js";
import { count } from "./words.js";

/**
 * @typedef {object} SpecForm
 * @property {HTMLElement} element
 * @property {() => Record<string, unknown>} read the values that say more than leaving them out
 * @property {(values: Record<string, unknown>) => void} write
 * @property {() => import("./job-field.js").JobField[]} listFaulty fields whose value is wrong by the schema
 * @property {() => import("./job-field.js").JobField[]} touch the same, once all of them show what is wrong
 * @property {(errors: {pointer: string, detail: string}[]) => object[]} blame shows errors at their fields; the others
 */

/**
 * The form of a kind.
 * @param {string} kind
 * @param {object} schema
 * @param {{jobs: object, onChange: () => void}} options
 * @returns {SpecForm}
 */
export function makeSpecForm(kind, schema, { jobs, onChange }) {
  const fields = new Map();
  const refreshers = [];
  const refresh = () => refreshers.forEach((one) => one());
  const change = () => {
    refresh();
    onChange();
  };
  const makeFields = (shapes) =>
    shapes.map((shape) => {
      const field = makeJobField(shape, { jobs, onChange: change });
      fields.set(shape.name, field);
      return field;
    });
  const [first, ...groups] = arrange(kind, readShapes(schema));
  const main = make("div", { class: "fields" }, ...makeFields(first.shapes).map((field) => field.element));
  const more = groups.map(({ title, shapes }) => {
    const group = makeGroup(title, makeFields(shapes));
    refreshers.push(group.refresh);
    return group.element;
  });
  const all = () => [...fields.values()];
  const listFaulty = () => all().filter((field) => field.check());
  return {
    element: make(
      "div",
      { class: "section" },
      main,
      make("h3", {}, "More settings"),
      make("div", { class: "groups" }, ...more),
    ),
    read: () =>
      Object.fromEntries(
        all()
          .map((field) => [field.shape.name, field.read()])
          .filter(([, one]) => one !== undefined),
      ),
    write: (values) => {
      for (const [name, field] of fields) field.write(values[name]);
      refresh();
    },
    listFaulty,
    touch: () => {
      all().forEach((field) => field.touch());
      return listFaulty();
    },
    blame: (errors) => blame(fields, errors),
  };
}

/** A group of fields that opens, and says when closed that some of them have a value of their own. */
function makeGroup(title, fields) {
  const names = fields.map((field) => field.shape.title).join(", ");
  const changed = make("span", { class: "quiet hint" });
  const element = make(
    "details",
    { class: "group" },
    make("summary", {}, make("span", {}, title), " ", changed),
    make("div", { class: "fields" }, ...fields.map((field) => field.element)),
  );
  const refresh = () => {
    const number = fields.filter((field) => field.read() !== undefined).length;
    changed.textContent = number ? `${count(number, "setting")} changed` : names;
    changed.classList.toggle("changed", number > 0);
  };
  return { element, refresh };
}

function blame(fields, errors) {
  const found = new Map();
  const others = [];
  for (const error of errors) {
    const name = readName(error.pointer);
    if (fields.has(name)) found.set(name, [...(found.get(name) ?? []), String(error.detail)]);
    else others.push(error);
  }
  for (const [name, field] of fields) {
    if (!found.has(name)) continue;
    field.blame([...new Set(found.get(name))].join(" "));
    field.element.closest("details")?.setAttribute("open", "");
  }
  return others;
}

/** The field in a JSON pointer such as `#/source/0`. */
function readName(pointer) {
  const [, name = ""] = String(pointer).split("/");
  return name.replaceAll("~1", "/").replaceAll("~0", "~");
}
