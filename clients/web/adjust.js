/** The sliders: opacity and label of the heat map, thresholds, NMS IoU. */
import { colourClass } from "./colours.js";
import { find, make, onlyWhenChanged } from "./dom.js";
import { getCurrentRecipe, getHeatLabel, getShown } from "./shown.js";
import { change, getRecipe, state } from "./state.js";
import { formatShare } from "./words.js";

const MAX_THRESHOLDS = 16;

/** Connects the sliders to the state; gives their view. */
export function makeAdjustments() {
  find("opacity").addEventListener("input", ({ target }) => change({ opacity: Number(target.value) / 100 }));
  find("nms").addEventListener("input", ({ target }) => change({ nmsIou: Number(target.value) }));
  find("add-threshold").addEventListener("click", addThreshold);
  find("reset").addEventListener("click", () => change({ thresholds: null, nmsIou: null }));
  const showLabels = onlyWhenChanged((shown) => JSON.stringify(shown?.labels ?? []), setHeatLabels);
  return () => {
    const shown = getShown(state);
    find("adjust").hidden = !shown;
    showLabels(shown);
    if (!shown) return;
    const heatLabel = getHeatLabel(state, shown);
    for (const radio of find("heat-labels").querySelectorAll("input"))
      radio.checked = Number(radio.value) === heatLabel;
    setSlider(find("opacity"), find("opacity-value"), Math.round(100 * state.opacity), (value) => `${value} %`);
    const { thresholds, nms_iou: nmsIou } = getCurrentRecipe(state)?.mining ?? shown.recipe.mining;
    showThresholds(thresholds);
    setSlider(find("nms"), find("nms-value"), nmsIou, formatShare);
    find("reset").disabled = shown.isRecipe;
    find("reset").textContent = `Reset to ${getRecipe()?.name ?? "the recipe"}`;
  };
}

/** Sets a slider, unless the user holds it at that very value, and what is read beside it. */
function setSlider(input, beside, value, format) {
  if (Number(input.value) !== value) input.value = String(value);
  input.setAttribute("aria-valuetext", format(value));
  beside.textContent = format(value);
}

function getThresholds() {
  return [...(state.thresholds ?? getRecipe()?.mining.thresholds ?? [])];
}

function addThreshold() {
  const thresholds = getThresholds();
  change({ thresholds: [...thresholds, findGap(thresholds)] });
  queueMicrotask(() => find("thresholds").querySelector("li:last-child input")?.focus());
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

function showThresholds(thresholds) {
  const list = find("thresholds");
  while (list.children.length > thresholds.length) list.lastElementChild.remove();
  while (list.children.length < thresholds.length) list.append(makeThreshold(list.children.length));
  thresholds.forEach((value, place) => {
    const line = list.children[place];
    setSlider(line.querySelector("input"), line.querySelector(".value"), value, formatShare);
    line.querySelector("button").disabled = thresholds.length === 1;
  });
  find("add-threshold").hidden = thresholds.length >= MAX_THRESHOLDS;
}

function makeThreshold(place) {
  const name = `Threshold ${place + 1}`;
  const set = ({ target }) => change({ thresholds: getThresholds().with(place, Number(target.value)) });
  return make(
    "li",
    { class: "slider" },
    make("span", { "aria-hidden": "true" }, "τ", make("sub", {}, String(place + 1))),
    make("input", { type: "range", min: 0, max: 0.99, step: 0.01, "aria-label": name, input: set }),
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

function remove(place) {
  change({ thresholds: getThresholds().toSpliced(place, 1) });
  find("add-threshold").focus();
}

function setHeatLabels(shown) {
  const labels = shown?.labels ?? [];
  const choices = labels.map((label) =>
    make(
      "label",
      { class: "radio" },
      make("input", {
        type: "radio",
        name: "heat",
        value: label.index,
        change: () => change({ heatLabel: label.index }),
      }),
      make("span", { class: `swatch ${colourClass(label.index)}`, "aria-hidden": "true" }),
      make("span", { class: "text" }, label.name),
    ),
  );
  find("heat-labels").replaceChildren(...choices);
  find("heat-labels").hidden = labels.length < 2;
}
