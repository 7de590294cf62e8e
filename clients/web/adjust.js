/** The sliders: opacity and label of the heat map, thresholds, NMS IoU. */
import { colourClass } from "./colours.js";
import { find, make, onlyWhenChanged } from "./dom.js";
import { getCurrentRecipe, getHeatLabel, getShown } from "./shown.js";
import { change, getRecipe, state } from "./state.js";
import { makeThresholdSliders, setSlider } from "./threshold-sliders.js";
import { formatShare } from "./words.js";

/** Connects the sliders to the state; gives their view. */
export function makeAdjustments() {
  find("opacity").addEventListener("input", ({ target }) => change({ opacity: Number(target.value) / 100 }));
  find("nms").addEventListener("input", ({ target }) => change({ nmsIou: Number(target.value) }));
  find("reset").addEventListener("click", () => change({ thresholds: null, nmsIou: null }));
  const showThresholds = makeThresholdSliders({
    list: find("thresholds"),
    addButton: find("add-threshold"),
    read: getThresholds,
    write: (thresholds) => change({ thresholds }),
  });
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

function getThresholds() {
  return [...(state.thresholds ?? getRecipe()?.mining.thresholds ?? [])];
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
