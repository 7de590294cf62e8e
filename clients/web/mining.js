/**
 * Step 2b as in `dap_core/mining.py`: class activation maps to pseudo boxes, driven by the record `recipe.mining`.
 *
 * The service answers with its rounded maps, and the page cuts them anew without asking it again.
 */
import { clipBox, computeArea, nms } from "./boxes.js";
import { chooseComponents, findComponents, fitRectangle } from "./components.js";
import { mergeCams } from "./merging.js";

export { decodeCam, mergeCams } from "./merging.js";

const { fround } = Math;

/**
 * @typedef {{xyxy: import("./boxes.js").Corners, label: number, score: number, threshold: number}} Box
 * @typedef {{label: number, reason: string}} NoBoxReason
 */

/**
 * The pseudo boxes of one image from the maps of all its labels and passes.
 *
 * Labels are mined on their own; boxes come by label, then best first. A label without a box has a reason.
 * @param {import("./merging.js").Cam[]} cams
 * @param {[number, number]} sizeWH
 * @param {object} mining the record `recipe.mining`
 * @param {(cams: object[]) => import("./merging.js").MergedMap | string} [merge] a `mergeCams` that remembers
 * @returns {{boxes: Box[], noBoxReasons: NoBoxReason[]}}
 */
export function mineBoxes(cams, sizeWH, mining, merge = (some) => mergeCams(some, sizeWH, mining)) {
  const boxes = [];
  const noBoxReasons = [];
  for (const label of new Set(cams.map((cam) => cam.label))) {
    const found = mineLabel(merge(cams.filter((cam) => cam.label === label)), label, sizeWH, mining);
    boxes.push(...found.boxes);
    if (found.reason) noBoxReasons.push({ label, reason: found.reason });
  }
  return { boxes, noBoxReasons };
}

/**
 * The pseudo boxes of one label, or the reason why it has none.
 * @param {import("./merging.js").MergedMap | string} merged of `mergeCams`
 * @param {number} label
 * @param {[number, number]} sizeWH
 * @param {object} mining the record `recipe.mining`
 * @returns {{boxes: Box[], reason: string | null}}
 */
export function mineLabel(merged, label, sizeWH, mining) {
  if (typeof merged === "string") return { boxes: [], reason: merged };
  const boxes = suppressBoxes(cutBoxes(merged, label, sizeWH, mining), mining);
  return { boxes, reason: boxes.length ? null : "no-extent" };
}

/**
 * Boxes of one normalised map for every threshold, before NMS (eqs. 2-6).
 * @param {import("./merging.js").MergedMap} merged
 * @param {number} label
 * @param {[number, number]} sizeWH
 * @param {object} mining
 * @returns {Box[]}
 */
export function cutBoxes(merged, label, sizeWH, mining) {
  const limitWH = sizeWH.map((side) => side - mining.edge_px);
  const boxes = [];
  for (const threshold of [...mining.thresholds].sort((a, b) => a - b)) {
    const { numbers, components } = findComponents(merged, threshold, mining.connectivity);
    for (const component of chooseComponents(components, mining)) {
      const { centre, size, score } = fitRectangle(merged, numbers, component, mining);
      const inPixels = (cells) => cells.map((value, axis) => value * merged.pitchXY[axis]);
      const sides = size.map((side) => Math.max(side, mining.min_side));
      const xyxy = clipBox(inPixels(centre), inPixels(sides), limitWH);
      if (xyxy[2] > xyxy[0] && xyxy[3] > xyxy[1]) {
        boxes.push({ xyxy, label, score: fround(score), threshold });
      }
    }
  }
  return boxes;
}

/**
 * The boxes of one label that NMS keeps, best first in the recipe's order.
 * @param {Box[]} boxes
 * @param {object} mining
 * @returns {Box[]}
 */
export function suppressBoxes(boxes, mining) {
  const corners = boxes.map((box) => box.xyxy);
  const ranks = mining.nms_order === "area" ? corners.map(computeArea) : boxes.map((box) => box.score);
  return nms(corners, ranks, mining.nms_iou, Number(mining.nms_inclusive)).map((place) => boxes[place]);
}
