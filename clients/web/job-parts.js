/** The shards of a job as a grid of cells, drawn on one canvas however many they are. */
import { followWidth } from "./chart-scales.js";
import { make, onlyWhenChanged } from "./dom.js";
import { count } from "./words.js";

const MOST = 100_000; // shards that are kept apart
const TALLEST = 320;
const CELL = { most: 18, least: 2 };
const [WAITING, DONE, FAILED] = [0, 1, 2];

/**
 * A section that shows the shards of a job of kind mine.
 * @returns {{element: HTMLElement, take: (event: object) => void, show: (progress: object) => void}}
 */
export function makeParts() {
  const canvas = make("canvas", { role: "img" });
  const frame = make("div", { class: "parts-frame" }, canvas);
  const summary = make("p", { class: "quiet" });
  const pointed = make("p", { class: "quiet number pointed-part", "aria-hidden": "true" });
  const element = make(
    "section",
    { class: "section card", hidden: true, "aria-labelledby": "parts-heading" },
    make("div", { class: "headline" }, make("h2", { id: "parts-heading" }, "Shards"), summary),
    frame,
    make("div", { class: "headline" }, makeKey(), pointed),
  );
  let [states, numParts, width] = [new Uint8Array(0), 0, 0];
  let grid = null;

  const draw = () => {
    if (!width || !numParts) return;
    grid = chooseGrid(Math.min(numParts, MOST), width);
    drawCells(canvas, grid, states, getComputedStyle(element));
  };
  const describe = onlyWhenChanged(String, (text) => {
    summary.textContent = text;
    canvas.setAttribute("aria-label", `Shards: ${text}`);
  });
  const grow = (wanted) => {
    if (wanted <= states.length) return;
    const size = Math.min(MOST, Math.max(wanted, 2 * states.length));
    const grown = new Uint8Array(size);
    grown.set(states);
    states = grown;
  };
  const take = ({ shard, failed }) => {
    if (!Number.isInteger(shard) || shard < 0 || shard >= MOST) return;
    grow(shard + 1);
    states[shard] = failed ? FAILED : DONE;
    numParts = Math.max(numParts, shard + 1);
  };
  const show = (progress) => {
    if (progress.part_name === "shard") numParts = Math.max(numParts, progress.parts);
    grow(Math.min(numParts, MOST));
    element.hidden = !numParts;
    const known = states.subarray(0, numParts);
    const [done, failed] = [DONE, FAILED].map((state) => known.reduce((sum, one) => sum + (one === state), 0));
    const waiting = numParts - done - failed;
    describe(
      `${count(numParts, "shard")}: ${done.toLocaleString("en")} done, ` +
        `${failed.toLocaleString("en")} with failed images, ${waiting.toLocaleString("en")} waiting`,
    );
    draw();
  };
  const point = (event) => {
    const shard = grid && findCell(grid, event);
    const words = ["waiting", "done", "with failed images"][states[shard] ?? 0];
    pointed.textContent = shard === null || shard >= numParts ? "" : `shard ${shard.toLocaleString("en")}: ${words}`;
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerleave", () => (pointed.textContent = ""));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  followWidth(frame, (now) => {
    width = now;
    draw();
  });
  return { element, take, show };
}

/** Cells as large as fit. */
function chooseGrid(number, width) {
  let cell = CELL.most;
  while (cell > CELL.least && Math.ceil(number / Math.floor(width / cell)) * cell > TALLEST) cell -= 1;
  const columns = Math.max(1, Math.floor(width / cell));
  return { number, cell, columns, rows: Math.ceil(number / columns) };
}

function drawCells(canvas, { number, cell, columns, rows }, states, style) {
  const scale = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [columns * cell * scale, rows * cell * scale];
  canvas.style.width = `${columns * cell}px`;
  canvas.style.height = `${rows * cell}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const gap = cell > 5 ? 2 : cell > 3 ? 1 : 0;
  const side = cell - gap;
  const colours = ["--well", "--accent", "--doubt"].map((name) => style.getPropertyValue(name));
  for (let shard = 0; shard < number; shard += 1) {
    const [x, y] = [(shard % columns) * cell, Math.floor(shard / columns) * cell];
    pen.fillStyle = colours[states[shard]];
    pen.fillRect(x, y, side, side);
    if (states[shard] === FAILED && side > 6) pen.clearRect(x + side / 3, y + side / 3, side / 3, side / 3);
  }
}

function findCell({ number, cell, columns }, { offsetX, offsetY }) {
  const [column, row] = [Math.floor(offsetX / cell), Math.floor(offsetY / cell)];
  const shard = row * columns + column;
  return column < columns && shard < number ? shard : null;
}

function makeKey() {
  const entries = [
    ["done", "done"],
    ["failed", "with failed images"],
    ["waiting", "waiting"],
  ];
  const items = entries.map(([name, words]) => make("li", {}, make("span", { class: `part-key ${name}` }), words));
  return make("ul", { class: "legend", "aria-hidden": "true" }, ...items);
}
