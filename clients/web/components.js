/** Connected components of what lies above a threshold, and the rectangle fitted to each (eqs. 2-6). */

const { fround } = Math;
const SIDES = [
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
];
const CORNERS = [
  [-1, -1],
  [-1, 1],
  [1, -1],
  [1, 1],
];

/**
 * @typedef {import("./merging.js").Grid} Grid
 * @typedef {{number: number, left: number, top: number, width: number, height: number, cells: number}} Component
 */

/**
 * The connected components of the cells strictly above `threshold`, in the order of their first cells.
 * @param {Grid} grid
 * @param {number} threshold
 * @param {4 | 8} connectivity
 * @returns {{numbers: Int32Array, components: Component[]}} `numbers` has 0 for what is not above
 */
export function findComponents(grid, threshold, connectivity) {
  const level = fround(threshold);
  const steps = connectivity === 8 ? [...SIDES, ...CORNERS] : SIDES;
  const numbers = new Int32Array(grid.values.length);
  const components = [];
  for (let cell = 0; cell < numbers.length; cell += 1) {
    if (numbers[cell] || !(grid.values[cell] > level)) continue;
    components.push(fillComponent(grid, level, steps, numbers, cell, components.length + 1));
  }
  return { numbers, components };
}

/**
 * The components that are large enough, largest first where their number is limited.
 * @param {Component[]} components
 * @param {object} mining the record `recipe.mining`
 * @returns {Component[]}
 */
export function chooseComponents(components, mining) {
  const measure = (one) => (mining.region === "rectangle" ? one.width * one.height : one.cells);
  const largest = components.reduce((most, one) => Math.max(most, measure(one)), 0);
  const chosen = components.filter((one) => measure(one) >= mining.min_area_ratio * largest);
  if (mining.max_components === null) return chosen;
  return chosen.sort((a, b) => measure(b) - measure(a)).slice(0, mining.max_components);
}

/**
 * Centre and size in cells of the grid, and the mean activation, of one component.
 * @param {Grid} grid
 * @param {Int32Array} numbers of `findComponents`
 * @param {Component} component
 * @param {object} mining the record `recipe.mining`
 * @returns {{centre: [number, number], size: [number, number], score: number}}
 */
export function fitRectangle(grid, numbers, component, mining) {
  const { left, top, width, height } = component;
  const [bias, tightness] = [mining.weight_bias, mining.tightness];
  const sums = sumMoments(grid, numbers, component, mining.region === "rectangle", bias);
  const [meanX, meanY] = [sums.x / sums.mass, sums.y / sums.mass];
  const spreadX = Math.max(sums.xx - sums.x * meanX, 0) / sums.mass;
  const spreadY = Math.max(sums.yy - sums.y * meanY, 0) / sums.mass;
  const mix = (rectangle, moment) => tightness * rectangle + (1 - tightness) * moment;
  return {
    centre: [left + mix(width / 2, 0.5 + meanX), top + mix(height / 2, 0.5 + meanY)], // eqs. 3 and 4
    size: [mix(width, Math.sqrt(12 * spreadX)), mix(height, Math.sqrt(12 * spreadY))], // eqs. 5 and 6
    score: sums.mass / sums.cells - bias,
  };
}

/** Numbers all cells that hang together with `start`; gives their count and bounding rectangle. */
function fillComponent(grid, level, steps, numbers, start, number) {
  const { values, rows, columns } = grid;
  const waiting = [start];
  let [cells, left, right, top, bottom] = [0, columns, 0, rows, 0];
  numbers[start] = number;
  while (waiting.length) {
    const cell = waiting.pop();
    const row = Math.floor(cell / columns);
    const column = cell - row * columns;
    cells += 1;
    left = Math.min(left, column);
    right = Math.max(right, column);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    for (const [down, across] of steps) {
      const [y, x] = [row + down, column + across];
      if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
      const neighbour = y * columns + x;
      if (numbers[neighbour] || !(values[neighbour] > level)) continue;
      numbers[neighbour] = number;
      waiting.push(neighbour);
    }
  }
  return { number, left, top, width: right - left + 1, height: bottom - top + 1, cells };
}

/** Sums of M, M x, M y, M x^2, M y^2 over a component, or over all that is above within its bounding rectangle. */
function sumMoments(grid, numbers, component, whole, bias) {
  const sums = { mass: 0, x: 0, y: 0, xx: 0, yy: 0, cells: 0 };
  const addend = fround(bias);
  for (let y = 0; y < component.height; y += 1) {
    const start = (component.top + y) * grid.columns + component.left;
    for (let x = 0; x < component.width; x += 1) {
      const number = numbers[start + x];
      if (whole ? number === 0 : number !== component.number) continue;
      const weight = bias ? fround(grid.values[start + x] + addend) : grid.values[start + x];
      sums.mass += weight;
      sums.x += weight * x;
      sums.y += weight * y;
      sums.xx += weight * x * x;
      sums.yy += weight * y * y;
      sums.cells += 1;
    }
  }
  return sums;
}
