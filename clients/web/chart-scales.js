/** What charts share: round ticks, fewer points, and the frame with its hidden table. */
import { make } from "./dom.js";

/** A line has no more points than this: more would not be seen. */
export const MAX_POINTS = 500;
const NARROWEST = 120; // pixels; what is narrower is still being laid out
const STEPS = [1, 2, 2.5, 5, 10];

/**
 * Round numbers from one at or below `low` to one at or above `high`.
 * @param {number} low
 * @param {number} high
 * @param {number} most ticks wanted at most, about
 * @returns {number[]}
 */
export function chooseTicks(low, high, most) {
  const range = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(range / most));
  const step = power * (STEPS.find((one) => one * power * most >= range) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

/**
 * At most `most` points that follow the same line: the means of runs of neighbours, and the newest one as it is.
 * @param {[number, number][]} points
 * @param {number} [most]
 * @returns {[number, number][]}
 */
export function decimate(points, most = MAX_POINTS) {
  if (points.length <= most) return points;
  const size = Math.ceil(points.length / (most - 1));
  const means = [];
  for (let start = 0; start < points.length - 1; start += size) {
    const run = points.slice(start, Math.min(start + size, points.length - 1));
    means.push([0, 1].map((axis) => run.reduce((sum, one) => sum + one[axis], 0) / run.length));
  }
  return [...means, points[points.length - 1]];
}

/**
 * A number as short as it may be on an axis.
 * @param {number} value
 * @returns {string}
 */
export function formatTick(value) {
  const size = Math.abs(value);
  if (size >= 1e4) return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
  if (size > 0 && size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

/**
 * A table for those who cannot see the chart.
 * @param {string} title
 * @param {string[]} heads
 * @param {string[][]} rows
 * @returns {HTMLElement}
 */
export function makeHiddenTable(title, heads, rows) {
  const cells = (row) => row.map((text, place) => make(place ? "td" : "th", place ? {} : { scope: "row" }, text));
  return make(
    "div",
    { class: "visually-hidden" },
    make(
      "table",
      {},
      make("caption", {}, title),
      make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row)))),
    ),
  );
}

/**
 * Calls `draw` with the width of an element in pixels, now and whenever it changes.
 * @param {HTMLElement} element
 * @param {(width: number) => void} draw
 */
export function followWidth(element, draw) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.round(element.clientWidth);
    if (width < NARROWEST || width === last) return;
    last = width;
    draw(width);
  }).observe(element);
}
