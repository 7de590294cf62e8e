/** The boxes of one image as a table whose rows stand out together with what is drawn. */
import { colourClass } from "./colours.js";
import { make } from "./dom.js";
import { count, explainReason, formatShare } from "./words.js";

/**
 * The table, and why labels have no box.
 * @param {{boxes: object[], reasons: {label: number, reason: string}[], nameLabel: (label: number) => string}} found
 * @param {(place: number | null) => void} point
 * @returns {HTMLElement[]}
 */
export function makeBoxList({ boxes, reasons, nameLabel }, point) {
  const words = count(boxes.length, "box");
  const hasThresholds = boxes.some((box) => Number.isFinite(box.threshold));
  const missing = reasons.map(({ label, reason }) =>
    make("p", { class: "doubts text" }, `${nameLabel(label)} has no box: ${explainReason(reason)}.`),
  );
  const rows = boxes.map((box, place) => makeRow(box, place, nameLabel, hasThresholds, point));
  const heads = ["Label", ...(hasThresholds ? ["τ"] : []), "Score"];
  const table = make(
    "table",
    { class: "box-list" },
    make("caption", { class: "visually-hidden" }, "Boxes, best first"),
    make(
      "thead",
      {},
      make("tr", {}, ...heads.map((text, at) => make("th", { scope: "col", class: at ? "amount" : "" }, text))),
    ),
    make("tbody", {}, ...rows),
  );
  return [make("h3", {}, words[0].toUpperCase() + words.slice(1)), ...missing, ...(boxes.length ? [table] : [])];
}

/**
 * One box in words.
 * @param {object} box
 * @param {string} name of its label
 * @returns {string}
 */
export function describeBox(box, name) {
  const threshold = Number.isFinite(box.threshold) ? ` · τ ${formatShare(box.threshold)}` : "";
  return `${name}${threshold} · ${box.score.toFixed(2)}`;
}

function makeRow(box, place, nameLabel, hasThresholds, point) {
  const numbers = [...(hasThresholds ? [formatShare(box.threshold)] : []), box.score.toFixed(2)];
  const swatch = make("span", { class: `swatch ${colourClass(box.label)}`, "aria-hidden": "true" });
  return make(
    "tr",
    { pointerenter: () => point(place), pointerleave: () => point(null) },
    make("th", { scope: "row" }, swatch, " ", make("span", { class: "text" }, nameLabel(box.label))),
    ...numbers.map((text) => make("td", { class: "amount" }, text)),
  );
}
