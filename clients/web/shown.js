/** What is shown of the chosen image: its boxes as the settings cut them, and the heat map. */
import { decodeCam, mergeCams, mineBoxes } from "./mining.js";
import { getRecipe, getSelected } from "./state.js";

/**
 * @typedef {{image: object, sizeWH: [number, number], labels: object[], boxes: import("./mining.js").Box[],
 *   reasons: object[], recipe: object, isServers: boolean, isRecipe: boolean}} Shown
 */

const cuts = new WeakMap(); // item -> {key, result} of the last cut
const maps = new WeakMap(); // item -> Map from label and way of merging to merged map

/**
 * The maps of an item of the answer, ready to be cut.
 * @param {object} item
 * @returns {import("./merging.js").Cam[]}
 */
export function decodeCams(item) {
  return (item.cams ?? []).map(decodeCam);
}

/**
 * The recipe with the thresholds and the NMS IoU of the sliders; its name then gets a star, as in the library.
 * @param {object} state
 * @returns {object | null}
 */
export function getCurrentRecipe(state) {
  const recipe = getRecipe();
  if (!recipe) return null;
  const mining = {
    ...recipe.mining,
    thresholds: state.thresholds ?? recipe.mining.thresholds,
    nms_iou: state.nmsIou ?? recipe.mining.nms_iou,
  };
  const same = describeCut(mining) === describeCut(recipe.mining);
  return { ...recipe, mining, name: same ? recipe.name : `${recipe.name}*` };
}

/**
 * What is to be shown, null while the chosen image has no answer.
 *
 * Boxes are the service's own as long as the settings are those it was asked for, else cut here from its maps.
 * @param {object} state
 * @returns {Shown | null}
 */
export function getShown(state) {
  const image = getSelected();
  if (!image?.item || image.status !== "done") return null;
  const { item, answer } = image;
  const recipe = getCurrentRecipe(state) ?? answer.recipe;
  const sizeWH = [item.width, item.height];
  const isServers = describeCut(recipe.mining) === describeCut(answer.recipe.mining);
  const found = isServers
    ? { boxes: item.boxes, noBoxReasons: item.no_box_reasons }
    : remember(item, describeCut(recipe.mining), () =>
        mineBoxes(image.cams, sizeWH, recipe.mining, (cams) => getMap(item, cams, sizeWH, recipe.mining)),
      );
  const isRecipe = !recipe.name.endsWith("*");
  return {
    image,
    sizeWH,
    labels: item.labels,
    boxes: found.boxes,
    reasons: found.noBoxReasons,
    recipe,
    isServers,
    isRecipe,
  };
}

/**
 * The heat map of one label of what is shown, null when it has none.
 * @param {Shown} shown
 * @param {number} label
 * @returns {import("./merging.js").MergedMap | null}
 */
export function getHeatMap(shown, label) {
  const cams = shown.image.cams.filter((cam) => cam.label === label);
  if (!cams.length) return null;
  const merged = getMap(shown.image.item, cams, shown.sizeWH, shown.recipe.mining);
  return typeof merged === "string" ? null : merged;
}

/**
 * The label whose heat map is shown: the chosen one, or else the first.
 * @param {object} state
 * @param {Shown} shown
 * @returns {number | undefined}
 */
export function getHeatLabel(state, shown) {
  const chosen = shown.labels.find((label) => label.index === state.heatLabel) ?? shown.labels[0];
  return chosen?.index;
}

function getMap(item, cams, sizeWH, mining) {
  const known = maps.get(item) ?? new Map();
  maps.set(item, known);
  const key = [cams[0].label, mining.merge, mining.grid_short_side, mining.floor_percentile].join();
  if (!known.has(key)) known.set(key, mergeCams(cams, sizeWH, mining));
  return known.get(key);
}

function remember(item, key, cut) {
  const last = cuts.get(item);
  if (last?.key === key) return last.result;
  const result = cut();
  cuts.set(item, { key, result });
  return result;
}

function describeCut(mining) {
  return JSON.stringify(mining, Object.keys(mining).sort());
}
