/**
 * Step 2b, first half, as in `dap_core/merging.py`: the maps of one label become one normalised map (eq. 1).
 *
 * A grid is `{values: Float32Array, rows, columns}`, row by row.
 */
import { findRange, percentile, roundHalfEven } from "./numbers.js";

const { fround } = Math;
const FLAT = 1e-6; // highest minus lowest over their size, below which a map says nothing

/**
 * @typedef {{label: number, shortSide: number, finite: boolean, map: Grid, originXY: number[], pitchXY: number[],
 *   validHW: number[]}} Cam
 * @typedef {{values: Float32Array, rows: number, columns: number}} Grid
 * @typedef {Grid & {pitchXY: [number, number]}} MergedMap cell (i, j) begins at pixel (j, i) times the pitch
 */

/**
 * A map of the answer as float32 cells.
 * @param {object} record an entry of `cams`
 * @returns {Cam}
 */
export function decodeCam(record) {
  const bytes = Uint8Array.from(atob(record.values), (letter) => letter.charCodeAt(0));
  const steps = new DataView(bytes.buffer);
  const values = new Float32Array(record.height * record.width);
  const finite = Number.isFinite(record.lowest) && Number.isFinite(record.highest);
  const step = finite ? fround((record.highest - record.lowest) / 65535) : 0;
  const lowest = finite ? fround(record.lowest) : 0;
  for (let cell = 0; cell < values.length; cell += 1) {
    values[cell] = fround(steps.getUint16(2 * cell, true) * step) + lowest;
  }
  return {
    label: record.label,
    shortSide: record.short_side,
    finite,
    map: { values, rows: record.height, columns: record.width },
    originXY: record.origin_xy,
    pitchXY: record.pitch_xy,
    validHW: record.valid_hw,
  };
}

/**
 * The normalised map of one label, or the reason why there is none: `flat-map` or `not-finite`.
 * @param {Cam[]} cams of one label
 * @param {[number, number]} sizeWH
 * @param {object} mining the record `recipe.mining`
 * @returns {MergedMap | string}
 */
export function mergeCams(cams, sizeWH, mining) {
  if (!cams.every((cam) => cam.finite)) return "not-finite";
  if (mining.merge === "stacked") return stackCams(cams, sizeWH);
  return placeCams(cams, sizeWH, mining.grid_short_side, mining.floor_percentile);
}

/**
 * The mean of all passes on one grid over the image, each read at its true place, brought to [0, 1].
 * @param {Cam[]} cams
 * @param {[number, number]} sizeWH
 * @param {number} gridShortSide
 * @param {number} [floorPercentile]
 * @returns {MergedMap | string}
 */
export function placeCams(cams, sizeWH, gridShortSide, floorPercentile = 0) {
  const [columns, rows] = computeGridSize(sizeWH, gridShortSide);
  const total = new Float64Array(rows * columns); // summed in double, rounded once
  for (const cam of cams) addPass(total, cam, sizeWH, rows, columns);
  const values = normaliseMap(Float32Array.from(total), floorPercentile);
  return values ? { values, rows, columns, pitchXY: [sizeWH[0] / columns, sizeWH[1] / rows] } : "flat-map";
}

/**
 * The mean over scales as the authors' script takes it: cell upon cell, padding included.
 * @param {Cam[]} cams
 * @param {[number, number]} sizeWH
 * @returns {MergedMap | string}
 */
export function stackCams(cams, sizeWH) {
  const byScale = groupByScale(cams);
  const [largest] = byScale.get(Math.max(...byScale.keys()));
  const { rows, columns } = largest.map;
  const values = new Float32Array(rows * columns);
  for (const passes of byScale.values()) {
    const normalised = normaliseMap(sumMaps(passes));
    if (!normalised) return "flat-map";
    addNearest(values, rows, columns, normalised, passes[0].map);
  }
  for (let cell = 0; cell < values.length; cell += 1) values[cell] /= byScale.size;
  const pitch = largest.pitchXY[sizeWH[1] < sizeWH[0] ? 1 : 0];
  return { values, rows, columns, pitchXY: [pitch, pitch] };
}

/**
 * The map brought to [0, 1] (eq. 1), null when it is flat; a percentile above 0 counts as 0 and lifts what is below.
 * @param {Float32Array} values
 * @param {number} [floorPercentile]
 * @returns {Float32Array | null}
 */
export function normaliseMap(values, floorPercentile = 0) {
  let [lowest, highest] = findRange(values);
  if (!(highest - lowest > FLAT * Math.max(Math.abs(lowest), Math.abs(highest)))) return null;
  if (floorPercentile) {
    const floor = percentile(values, floorPercentile);
    if (floor < highest) lowest = floor;
  }
  const scale = fround(1 / (highest - lowest));
  const normalised = values.map((value) => fround(value - lowest) * scale);
  return floorPercentile ? normalised.map((value) => Math.max(value, 0)) : normalised;
}

/**
 * Columns and rows of a sample grid: `shortSide` along the shorter side, square within rounding.
 * @param {[number, number]} sizeWH
 * @param {number} shortSide
 * @returns {[number, number]}
 */
export function computeGridSize(sizeWH, shortSide) {
  const scale = shortSide / Math.min(...sizeWH);
  return [roundHalfEven(sizeWH[0] * scale), roundHalfEven(sizeWH[1] * scale)];
}

/** Adds one pass, read bilinearly between the centres of its valid cells, to the sum of all passes. */
function addPass(total, cam, sizeWH, rows, columns) {
  const [validRows, validColumns] = cam.validHW;
  const down = interpolate(validRows, cam.originXY[1], cam.pitchXY[1], sizeWH[1], rows);
  const across = interpolate(validColumns, cam.originXY[0], cam.pitchXY[0], sizeWH[0], columns);
  const line = new Float32Array(validColumns);
  for (let row = 0; row < rows; row += 1) {
    const { first, next, weight, nextWeight } = down[row];
    const [upper, lower] = [first * cam.map.columns, next * cam.map.columns];
    for (let column = 0; column < validColumns; column += 1) {
      line[column] = weight * cam.map.values[upper + column] + nextWeight * cam.map.values[lower + column];
    }
    for (let column = 0; column < columns; column += 1) {
      const at = across[column];
      total[row * columns + column] += at.weight * line[at.first] + at.nextWeight * line[at.next];
    }
  }
}

/** Two cells and their float32 weights for each of some even samples of an extent; cells lie at origin + pitch * i. */
function interpolate(numCells, origin, pitch, extent, numSamples) {
  return Array.from({ length: numSamples }, (_, sample) => {
    const centre = (sample + 0.5) * (extent / numSamples);
    const position = Math.min(Math.max((centre - origin) / pitch, 0), numCells - 1);
    const first = Math.floor(position);
    const next = Math.min(first + 1, numCells - 1);
    const nextWeight = next === first ? 0 : fround(Math.max(0, 1 - Math.abs(position - next)));
    return { first, next, weight: fround(1 - (position - first)), nextWeight };
  });
}

function sumMaps(cams) {
  const total = cams[0].map.values.slice();
  for (const cam of cams.slice(1)) {
    for (let cell = 0; cell < total.length; cell += 1) total[cell] += cam.map.values[cell];
  }
  return total;
}

/** Adds a map on another grid: cell i takes cell floor(i * old / new). */
function addNearest(values, rows, columns, other, shape) {
  for (let row = 0; row < rows; row += 1) {
    const start = Math.floor((row * shape.rows) / rows) * shape.columns;
    for (let column = 0; column < columns; column += 1) {
      values[row * columns + column] += other[start + Math.floor((column * shape.columns) / columns)];
    }
  }
}

function groupByScale(cams) {
  const byScale = new Map();
  for (const cam of cams) byScale.set(cam.shortSide, [...(byScale.get(cam.shortSide) ?? []), cam]);
  return byScale;
}
