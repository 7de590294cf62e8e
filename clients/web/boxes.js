/** Operations on boxes as in `dap_core/boxes.py`: `[x1, y1, x2, y2]` in pixels of the upright image, half-open. */

const { fround } = Math;

/** @typedef {[number, number, number, number]} Corners */

/**
 * Float32 corners of a centre and a size in pixels, cut to `[0, limit]`.
 * @param {number[]} centre across and down
 * @param {number[]} size width and height
 * @param {number[]} limitWH
 * @returns {Corners}
 */
export function clipBox(centre, size, limitWH) {
  const clip = (value, axis) => fround(Math.min(Math.max(value, 0), limitWH[axis]));
  return [
    clip(centre[0] - size[0] / 2, 0),
    clip(centre[1] - size[1] / 2, 1),
    clip(centre[0] + size[0] / 2, 0),
    clip(centre[1] + size[1] / 2, 1),
  ];
}

/**
 * Area in square pixels, rounded to float32 as the ranks of NMS are.
 * @param {Corners} box
 * @returns {number}
 */
export function computeArea([x1, y1, x2, y2]) {
  return fround(fround(x2 - x1) * fround(y2 - y1));
}

/**
 * Intersection over union, 0 where neither box has an area; `extraPx` 1 counts pixels inclusively.
 * @param {Corners} a
 * @param {Corners} b
 * @param {number} [extraPx]
 * @returns {number}
 */
export function computeIou(a, b, extraPx = 0) {
  const across = Math.max(Math.min(a[2], b[2]) + extraPx - Math.max(a[0], b[0]), 0);
  const down = Math.max(Math.min(a[3], b[3]) + extraPx - Math.max(a[1], b[1]), 0);
  const measure = (box) => (box[2] + extraPx - box[0]) * (box[3] + extraPx - box[1]);
  const union = measure(a) + measure(b) - across * down;
  return union > 0 ? (across * down) / union : 0;
}

/**
 * Places of the boxes that greedy non-maximum suppression keeps, highest rank first; of equal ranks the earlier one.
 *
 * A box goes when its IoU with a kept box is *above* the threshold; 1 keeps everything.
 * @param {Corners[]} boxes
 * @param {number[]} ranks
 * @param {number} iouThreshold
 * @param {number} [extraPx]
 * @returns {number[]}
 */
export function nms(boxes, ranks, iouThreshold, extraPx = 0) {
  const order = boxes.map((_, place) => place).sort((a, b) => ranks[b] - ranks[a]);
  if (iouThreshold >= 1) return order;
  const kept = [];
  for (const place of order) {
    if (kept.every((other) => computeIou(boxes[other], boxes[place], extraPx) <= iouThreshold)) kept.push(place);
  }
  return kept;
}
