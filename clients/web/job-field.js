/** One field of a job: its label, its input, what it means and what is wrong with it. */
import { make } from "./dom.js";
import { makeInput } from "./field-inputs.js";
import { findFault, isLeftOut } from "./field-shapes.js";
import { makePlaceInput, makePlacesInput } from "./place-field.js";
import { withCode } from "./schemas.js";

const PLACES = { place: makePlaceInput, places: makePlacesInput };
const WIDE = ["place", "places", "map", "texts"];

/**
 * @typedef {object} JobField
 * @property {HTMLElement} element
 * @property {import("./field-shapes.js").Shape} shape
 * @property {() => unknown} read undefined when it says no more than leaving it out
 * @property {(value: unknown) => void} write
 * @property {() => string} check what is wrong by the schema
 * @property {(text: string) => void} blame shows a fault that the service found, until the value changes
 * @property {() => void} touch from now on a missing value is a fault
 * @property {() => void} focus
 */

/**
 * The field of a shape.
 * @param {import("./field-shapes.js").Shape} shape
 * @param {{jobs: object, onChange: () => void}} options
 * @returns {JobField}
 */
export function makeJobField(shape, { jobs, onChange }) {
  const id = `field-${shape.name}`;
  const hint = make(
    "p",
    { class: "hint quiet", id: `${id}-hint`, hidden: !shape.description },
    ...withCode(shape.description),
  );
  const fault = make("p", { class: "fault text", id: `${id}-fault`, hidden: true });
  let isTouched = false;
  let blamed = "";

  const input = (PLACES[shape.type] ?? makeInput)(shape, id, change, jobs);
  const read = () => {
    const value = input.read();
    return isLeftOut(shape, value) ? undefined : value;
  };
  const check = () => findFault(shape, read());

  function change() {
    blamed = "";
    show();
    onChange();
  }

  function show() {
    const text = blamed || (isTouched || read() !== undefined ? check() : "");
    if (fault.textContent !== text) fault.textContent = text;
    fault.hidden = !text;
    for (const control of input.listControls()) {
      control.setAttribute(
        "aria-describedby",
        [text && fault.id, shape.description && hint.id].filter(Boolean).join(" "),
      );
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
      if (shape.isRequired) control.setAttribute("aria-required", "true");
    }
  }

  const element = layOut(shape, id, input, [hint, fault]);
  element.addEventListener("focusout", (event) => {
    if (!event.relatedTarget || element.contains(event.relatedTarget)) return; // the window was left, not the field
    isTouched = true;
    show();
  });
  input.write(shape.fallback);
  show();
  return {
    element,
    shape,
    read,
    check,
    write: (value) => {
      input.write(value ?? shape.fallback);
      show();
    },
    blame: (text) => {
      blamed = text;
      show();
    },
    touch: () => {
      isTouched = true;
      show();
    },
    focus: () => {
      element.closest("details")?.setAttribute("open", "");
      input.listControls()[0]?.focus();
    },
  };
}

function layOut(shape, id, input, notes) {
  const mark = shape.isRequired ? [make("span", { class: "needed quiet" }, " needed")] : [];
  const data = { class: WIDE.includes(shape.type) ? "field wide" : "field", "data-field": shape.name };
  if (shape.type === "boolean") {
    return make("div", data, make("label", { class: "tick" }, input.element, shape.title), ...notes);
  }
  if (shape.type !== "map")
    return make("div", data, make("label", { for: id }, shape.title, ...mark), input.element, ...notes);
  const title = make("span", { class: "name", id: `${id}-name` }, shape.title, ...mark);
  return make("div", { ...data, role: "group", "aria-labelledby": title.id }, title, input.element, ...notes);
}
