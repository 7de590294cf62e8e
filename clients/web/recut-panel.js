/** The panel that cuts boxes again: thresholds, NMS IoU, what becomes of the sample, and the job for the whole set. */
import { makeHistogram } from "./charts.js";
import { announce, make } from "./dom.js";
import { makeJobStarter } from "./job-starter.js";
import { placeBeside } from "./place-names.js";
import { nameBins, summariseBoxes } from "./sample-statistics.js";
import { makeThresholdSliders, setSlider } from "./threshold-sliders.js";
import { count, formatPercent, formatShare } from "./words.js";

const ROWS = [
  ["Boxes", (found) => found.boxes.toLocaleString("en")],
  ["Boxes per image", (found) => found.boxesPerImage.toFixed(2)],
  ["Without a box", (found) => formatPercent(found.withoutBox)],
  ["Mean width", (found) => `${found.meanWidth.toFixed(1)} px`],
  ["Mean height", (found) => `${found.meanHeight.toFixed(1)} px`],
];

/**
 * The panel of a label set whose maps are stored.
 * @param {object} summary of `GET /v1/jobs/{job}/label-set`
 * @param {import("./recutting.js").Recutter} recutter
 * @returns {{element: HTMLElement, showProgress: () => void, showOutcome: () => void}}
 */
export function makeRecutPanel(summary, recutter) {
  const stored = summary.recipe.mining;
  const chosen = { thresholds: [...stored.thresholds], nms_iou: stored.nms_iou };
  const list = make("ul", { class: "sliders" });
  const addButton = make("button", { type: "button", class: "link" }, "Add a threshold");
  const nms = make("input", { type: "range", id: "recut-nms", min: 0, max: 1, step: 0.01 });
  const nmsValue = make("span", { class: "value", "aria-hidden": "true" });
  const reset = make("button", { type: "button", class: "link" }, "Back to the stored boxes");
  const status = make("p", { class: "hint quiet", id: "recut-status" });
  const outcome = make("div", { class: "comparison", hidden: true });
  const starter = makeJobStarter({
    text: "Re-cut the whole set so",
    place: placeBeside(summary.place, "recut"),
    makeSpec: (out) => ({ kind: "recut", label_set: { job: summary.job }, out, ...chosen }),
  });
  starter.element.hidden = true;

  const showThresholds = makeThresholdSliders({
    list,
    addButton,
    read: () => [...chosen.thresholds],
    write: (thresholds) => choose({ thresholds }),
  });
  nms.addEventListener("input", () => choose({ nms_iou: Number(nms.value) }));
  reset.addEventListener("click", () => choose({ thresholds: [...stored.thresholds], nms_iou: stored.nms_iou }));

  function choose(changes) {
    Object.assign(chosen, changes);
    const isStored = describe(chosen) === describe(stored);
    recutter.setMining(isStored ? null : { ...stored, ...chosen });
    showControls(isStored);
    if (!isStored) showProgress();
  }

  function showControls(isStored) {
    showThresholds(chosen.thresholds);
    setSlider(nms, nmsValue, chosen.nms_iou, formatShare);
    reset.hidden = isStored;
    starter.element.hidden = isStored;
    element.classList.toggle("changed", !isStored);
  }

  function showProgress() {
    element.setAttribute("aria-busy", "true");
    status.textContent = "Cutting again…";
  }

  function showOutcome() {
    const { mining, sample } = recutter;
    element.setAttribute("aria-busy", "false");
    outcome.hidden = !mining || !sample.length;
    status.textContent = mining
      ? `${count(sample.length, "image")} cut again in this browser; nothing is written.`
      : "Boxes are as they are stored. Move a slider to cut them again from their maps.";
    if (outcome.hidden) return;
    const before = summariseBoxes(sample.map((item) => item.boxes));
    const after = summariseBoxes(sample.map((item) => recutter.getBoxes(item)));
    outcome.replaceChildren(makeComparison(before, after), makeBins(before, after));
    announce(`${formatShare(after.boxesPerImage)} boxes per image, before ${formatShare(before.boxesPerImage)}`);
  }

  const element = make(
    "section",
    { class: "card recut", "aria-labelledby": "recut-title", "aria-busy": "false" },
    make("h2", { id: "recut-title" }, "Cut again"),
    status,
    make("fieldset", { class: "field" }, make("legend", {}, "Thresholds"), list, addButton),
    make(
      "div",
      { class: "field" },
      make("div", { class: "slider" }, make("label", { for: "recut-nms" }, "NMS IoU"), nms, nmsValue),
      make("p", { class: "hint quiet" }, "Of two boxes that overlap more than this, one stays."),
    ),
    reset,
    outcome,
    starter.element,
  );
  element.addEventListener("pointerenter", () => recutter.prepare(), { once: true });
  element.addEventListener("focusin", () => recutter.prepare(), { once: true });
  showControls(true);
  showOutcome();
  return { element, showProgress, showOutcome };
}

function describe({ thresholds, nms_iou: nmsIou }) {
  return JSON.stringify([thresholds.toSorted((a, b) => a - b), nmsIou]);
}

function makeComparison(before, after) {
  const rows = ROWS.map(([name, say]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, name),
      make("td", { class: "amount" }, say(before)),
      make("td", { class: "amount after" }, say(after)),
    ),
  );
  const heads = ["", "stored", "now"].map((text, place) =>
    make(place ? "th" : "td", place ? { scope: "col", class: "amount" } : {}, text),
  );
  return make(
    "table",
    {},
    make("caption", { class: "visually-hidden" }, "Boxes of the sample, stored and cut again"),
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows),
  );
}

function makeBins(before, after) {
  const bins = nameBins().map((label, place) => ({
    label,
    count: after.histogram[place],
    before: before.histogram[place],
  }));
  const figure = makeHistogram({ title: "Boxes per image", unit: "boxes", bins });
  figure.append(make("p", { class: "hint quiet" }, "Outlined: as stored."));
  return figure;
}
