/** Statistics of some images' boxes, as `dap_core/evaluation/statistics.py` counts them. */

const MOST = 8; // boxes; more share the last bin

/**
 * @typedef {{images: number, boxes: number, boxesPerImage: number, withoutBox: number, meanWidth: number,
 *   meanHeight: number, histogram: number[]}} Statistics `histogram`: images with 0 to 7 boxes, then 8 or more
 */

/**
 * Counts and means over images.
 * @param {{xyxy: number[]}[][]} boxesByImage
 * @returns {Statistics}
 */
export function summariseBoxes(boxesByImage) {
  const histogram = new Array(MOST + 1).fill(0);
  let [boxes, width, height] = [0, 0, 0];
  for (const found of boxesByImage) {
    histogram[Math.min(found.length, MOST)] += 1;
    boxes += found.length;
    for (const { xyxy } of found) {
      width += xyxy[2] - xyxy[0];
      height += xyxy[3] - xyxy[1];
    }
  }
  const images = boxesByImage.length;
  return {
    images,
    boxes,
    boxesPerImage: boxes / Math.max(images, 1),
    withoutBox: histogram[0] / Math.max(images, 1),
    meanWidth: width / Math.max(boxes, 1),
    meanHeight: height / Math.max(boxes, 1),
    histogram,
  };
}

/**
 * The names of the bins of boxes per image.
 * @returns {string[]}
 */
export function nameBins() {
  return Array.from({ length: MOST + 1 }, (_, number) => (number === MOST ? `${MOST}+` : String(number)));
}
