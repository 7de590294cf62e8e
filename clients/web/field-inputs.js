/** Inputs for fields of jobs: text, numbers, choices, lists and maps. A place has its own, in place-field.js. */
import { make } from "./dom.js";

/**
 * @typedef {object} FieldInput
 * @property {HTMLElement} element
 * @property {() => HTMLElement[]} listControls what is focused, and marked when the value is wrong
 * @property {() => unknown} read undefined when it is empty; text that is no number as it was typed
 * @property {(value: unknown) => void} write null or undefined empties it
 */

/**
 * The input of a field that is no place.
 * @param {import("./field-shapes.js").Shape} shape
 * @param {string} id of its control, where it has a single one
 * @param {() => void} onChange
 * @returns {FieldInput}
 */
export function makeInput(shape, id, onChange) {
  const makers = { boolean: makeCheckbox, choice: makeChoice, map: makeMap, texts: makeLines };
  return (makers[shape.type] ?? makeLine)(shape, id, onChange);
}

/**
 * A text input, as all fields have it.
 * @param {Record<string, unknown>} attributes
 * @returns {HTMLInputElement}
 */
export function makeTextInput(attributes) {
  return make("input", { type: "text", class: "text-field", autocomplete: "off", spellcheck: "false", ...attributes });
}

function makeLine(shape, id, onChange) {
  const forms = {
    number: [parseNumber, (value) => String(value), shape.isWhole ? "numeric" : "decimal"],
    numbers: [parseNumbers, (value) => value.join(", "), "text"],
  };
  const [parse, format, inputmode] = forms[shape.type] ?? [(text) => text || undefined, String, "text"];
  const input = makeTextInput({ id, inputmode, input: onChange });
  if (shape.type === "numbers") input.placeholder = "several, separated by commas";
  return {
    element: shape.examples.length ? addSuggestions(input, shape.examples) : input,
    listControls: () => [input],
    read: () => parse(input.value.trim()),
    write: (value) => {
      input.value = value === null || value === undefined ? "" : typeof value === "string" ? value : format(value);
    },
  };
}

function addSuggestions(input, values) {
  const list = make("datalist", { id: `${input.id}-list` }, ...values.map((value) => make("option", { value })));
  input.setAttribute("list", list.id);
  return make("div", { class: "suggested" }, input, list);
}

function parseNumber(text) {
  const value = Number(text);
  if (text === "") return undefined;
  return Number.isFinite(value) ? value : text;
}

function parseNumbers(text) {
  const parts = text.split(/[\s,;]+/).filter(Boolean);
  return parts.length ? parts.map(parseNumber) : undefined;
}

function makeCheckbox(shape, id, onChange) {
  const input = make("input", { type: "checkbox", id, change: onChange });
  return {
    element: input,
    listControls: () => [input],
    read: () => input.checked,
    write: (value) => {
      input.checked = Boolean(value ?? shape.fallback);
    },
  };
}

function makeChoice(shape, id, onChange) {
  const options = shape.options.map((option) => make("option", { value: option }, option));
  if (!shape.options.includes(shape.fallback)) options.unshift(make("option", { value: "" }, "left out"));
  const select = make("select", { id, class: "text-field", change: onChange }, ...options);
  return {
    element: select,
    listControls: () => [select],
    read: () => select.value || undefined,
    write: (value) => {
      select.value = shape.options.includes(value) ? value : (shape.fallback ?? "");
    },
  };
}

/** One text a line, since a comma may be part of each. */
function makeLines(shape, id, onChange) {
  const area = make("textarea", {
    id,
    class: "text-field",
    rows: 1,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "several, one a line",
    input: () => {
      fit(area);
      onChange();
    },
  });
  return {
    element: area,
    listControls: () => [area],
    read: () => {
      const lines = area.value
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean);
      return lines.length ? lines : undefined;
    },
    write: (value) => {
      area.value = Array.isArray(value) ? value.join("\n") : "";
      fit(area);
    },
  };
}

function fit(area) {
  area.rows = Math.min(Math.max(area.value.split("\n").length, 1), 8);
}

function makeMap(shape, _id, onChange) {
  const rows = make("div", { class: "rows" });
  const add = (name = "", value = "") => {
    const row = makePair(shape, name, value, onChange);
    rows.append(row);
    return row;
  };
  const button = make(
    "button",
    { type: "button", class: "link", click: () => add().querySelector("input").focus() },
    "Add an entry",
  );
  return {
    element: make("div", { class: "several" }, rows, button),
    listControls: () => [...rows.querySelectorAll("input"), button],
    read: () => {
      const entries = [...rows.children].map((row) =>
        [...row.querySelectorAll("input")].map((one) => one.value.trim()),
      );
      const named = entries.filter(([name]) => name);
      return named.length ? Object.fromEntries(named) : undefined;
    },
    write: (value) => {
      rows.replaceChildren();
      for (const [name, one] of Object.entries(value ?? {})) add(name, String(one));
    },
  };
}

function makePair(shape, name, value, onChange) {
  const first = makeTextInput({ "aria-label": `${shape.title}: name`, placeholder: "name", input: onChange });
  const second = makeTextInput({ "aria-label": `${shape.title}: value`, placeholder: "value", input: onChange });
  [first.value, second.value] = [name, value];
  const row = make("div", { class: "pair" }, first, make("span", { "aria-hidden": "true" }, "→"), second);
  row.append(makeRemove(`Remove this entry of ${shape.title}`, row, onChange));
  return row;
}

/**
 * A button that takes a row away, and moves the focus to what stays.
 * @param {string} name
 * @param {HTMLElement} row
 * @param {() => void} onChange
 * @returns {HTMLElement}
 */
export function makeRemove(name, row, onChange) {
  const remove = () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    const goal =
      next?.querySelector("input, select") ?? row.parentElement.parentElement.querySelector(":scope > button");
    row.remove();
    goal?.focus();
    onChange();
  };
  return make("button", { type: "button", class: "remove", "aria-label": name, title: "Remove", click: remove }, "×");
}
