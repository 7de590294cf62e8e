/** A merged map as colours over the photograph. */

const INFERNO = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];
const LONGEST_SIDE = 900; // of the canvas, in pixels

/**
 * Draws a map into a canvas that covers the image: cold cells let the photograph through.
 * @param {HTMLCanvasElement} canvas
 * @param {import("./merging.js").MergedMap | null} merged null clears the canvas
 * @param {[number, number]} sizeWH of the image
 */
export function drawHeatMap(canvas, merged, sizeWH) {
  const zoom = LONGEST_SIDE / Math.max(...sizeWH);
  canvas.width = Math.max(1, Math.round(sizeWH[0] * zoom));
  canvas.height = Math.max(1, Math.round(sizeWH[1] * zoom));
  if (!merged) return;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const [width, height] = [merged.columns * merged.pitchXY[0] * zoom, merged.rows * merged.pitchXY[1] * zoom];
  context.drawImage(colourCells(merged), 0, 0, width, height); // what lies in the padding falls off the canvas
}

/**
 * The colour of a value of a map, as red, green, blue and opacity, 0 to 255.
 * @param {number} value
 * @returns {number[]}
 */
export function colourOf(value) {
  const level = Math.min(Math.max(value, 0), 1);
  const place = level * (INFERNO.length - 1);
  const below = Math.min(Math.floor(place), INFERNO.length - 2);
  const mixed = INFERNO[below].map((part, axis) => part + (INFERNO[below + 1][axis] - part) * (place - below));
  return [...mixed, 255 * level ** 1.2];
}

function colourCells(merged) {
  const cells = document.createElement("canvas");
  cells.width = merged.columns;
  cells.height = merged.rows;
  const pixels = new ImageData(merged.columns, merged.rows);
  merged.values.forEach((value, cell) => pixels.data.set(colourOf(value), 4 * cell));
  cells.getContext("2d").putImageData(pixels, 0, 0);
  return cells;
}
