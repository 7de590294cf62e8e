/** A list of thresholds, each with its slider; some can be added and removed. */
import { make } from "./dom.js";
import { formatShare } from "./words.js";

const MAX_THRESHOLDS = 16;

/**
 * Connects a list and the button that adds to it to some thresholds; gives what shows them.
 * @param {object} parts
 * @param {HTMLElement} parts.list
 * @param {HTMLElement} parts.addButton
 * @param {() => number[]} parts.read
 * @param {(thresholds: number[]) => void} parts.write
 * @returns {(thresholds: number[]) => void}
 */
export function makeThresholdSliders({ list, addButton, read, write }) {
  const set = (place, value) => write(read().with(place, value));
  const remove = (place) => {
    write(read().toSpliced(place, 1));
    addButton.focus();
  };
  addButton.addEventListener("click", () => {
    write([...read(), findGap(read())]);
    queueMicrotask(() => list.querySelector("li:last-child input")?.focus());
  });
  return (thresholds) => {
    while (list.children.length > thresholds.length) list.lastElementChild.remove();
    while (list.children.length < thresholds.length) list.append(makeThreshold(list.children.length, set, remove));
    thresholds.forEach((value, place) => {
      const line = list.children[place];
      setSlider(line.querySelector("input"), line.querySelector(".value"), value, formatShare);
      line.querySelector("button").disabled = thresholds.length === 1;
    });
    addButton.hidden = thresholds.length >= MAX_THRESHOLDS;
  };
}

/**
 * Sets a slider, unless the user holds it at that very value, and what is read beside it.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} beside
 * @param {number} value
 * @param {(value: number) => string} format
 */
export function setSlider(input, beside, value, format) {
  if (Number(input.value) !== value) input.value = String(value);
  input.setAttribute("aria-valuetext", format(value));
  beside.textContent = format(value);
}

/** The middle of the widest gap between thresholds. */
function findGap(thresholds) {
  const marks = [0, ...thresholds.toSorted((a, b) => a - b), 1];
  let best = 0;
  for (let place = 1; place + 1 < marks.length; place += 1) {
    if (marks[place + 1] - marks[place] > marks[best + 1] - marks[best]) best = place;
  }
  return Math.round(50 * (marks[best] + marks[best + 1])) / 100;
}

function makeThreshold(place, set, remove) {
  const name = `Threshold ${place + 1}`;
  const slide = ({ target }) => set(place, Number(target.value));
  return make(
    "li",
    { class: "slider" },
    make("span", { "aria-hidden": "true" }, "τ", make("sub", {}, String(place + 1))),
    make("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": name, input: slide }),
    make("span", { class: "value", "aria-hidden": "true" }),
    make(
      "button",
      {
        type: "button",
        class: "quiet-button",
        "aria-label": `Remove ${name.toLowerCase()}`,
        click: () => remove(place),
      },
      make("span", { "aria-hidden": "true" }, "×"),
    ),
  );
}
