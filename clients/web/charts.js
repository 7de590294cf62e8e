/** Line charts and histograms as SVG, each with a table for those who cannot see it. */
import { MAX_POINTS, chooseTicks, decimate, followWidth, formatTick, makeHiddenTable } from "./chart-scales.js";
import { make, makeSvg } from "./dom.js";

const HEIGHT = 210;
const EDGE = { left: 54, right: 12, top: 10, bottom: 36 };
const MAX_ROWS = 20; // of the hidden table
const NUM_COLOURS = 6;
const DASHES = ["", "6 4", "2 3"];

/**
 * @typedef {{name: string, points: [number, number][]}} Series points in the order of x
 * @typedef {{label: string, count: number, before?: number}} Bin
 */

/**
 * Lines over a common axis; at most 500 points of each are drawn.
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.xLabel
 * @param {string} options.yLabel
 * @param {Series[]} options.series
 * @param {(x: number) => string} [options.formatX]
 * @returns {{element: HTMLElement, update: (series: Series[]) => void}}
 */
export function makeLineChart({ title, xLabel, yLabel, series, formatX = formatTick }) {
  const legend = make("ul", { class: "legend" });
  const canvas = make("div", { class: "plot", role: "img" });
  const hidden = make("div");
  const element = make("figure", { class: "chart" }, make("figcaption", {}, title), legend, canvas, hidden);
  let [width, lines] = [0, []];
  const draw = () => width && canvas.replaceChildren(drawLines(lines, width, { xLabel, yLabel, formatX }));
  const update = (given) => {
    lines = given.map(({ name, points }) => ({ name, points: decimate(points.filter(isFinitePoint)) }));
    legend.replaceChildren(...(lines.length > 1 ? lines.map(({ name }, place) => makeKey(name, place)) : []));
    const words = lines.map((line) => describeLine(line, formatX, yLabel));
    canvas.setAttribute("aria-label", [`${title}.`, ...words].join(" "));
    hidden.replaceChildren(makeLineTable(title, xLabel, lines, formatX));
    draw();
  };
  update(series);
  followWidth(canvas, (now) => {
    width = now;
    draw();
  });
  return { element, update };
}

/**
 * Bars of counts; `before` is an outlined bar to compare with.
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.unit what the bins are of, below the axis
 * @param {Bin[]} options.bins
 * @returns {HTMLElement}
 */
export function makeHistogram({ title, unit, bins }) {
  const compares = bins.some((bin) => bin.before !== undefined);
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  const canvas = make("div", { class: "plot", role: "img", "aria-label": `${title}: ${total} in ${bins.length} bins` });
  const heads = [unit, "count", ...(compares ? ["before"] : [])];
  const rows = bins.map((bin) => [bin.label, String(bin.count), ...(compares ? [String(bin.before ?? 0)] : [])]);
  followWidth(canvas, (width) => canvas.replaceChildren(drawBars(bins, width, unit)));
  return make(
    "figure",
    { class: "chart" },
    make("figcaption", {}, title),
    canvas,
    make("div", {}, makeHiddenTable(title, heads, rows)),
  );
}

function isFinitePoint([x, y]) {
  return Number.isFinite(x) && Number.isFinite(y);
}

function drawLines(lines, width, { xLabel, yLabel, formatX }) {
  const points = lines.flatMap((line) => line.points);
  if (!points.length) return drawNothing(width);
  const [xs, ys] = [0, 1].map((axis) => points.map((one) => one[axis]));
  const across = makeAxis(xs, Math.max(3, Math.floor(width / 110)), [EDGE.left, width - EDGE.right], true);
  const down = makeAxis([0, ...ys], 4, [HEIGHT - EDGE.bottom, EDGE.top], false);
  const marks = [
    ...down.ticks.map((tick) => drawGridLine(down.place(tick), width, formatTick(tick))),
    ...across.ticks.map((tick) => writeText(across.place(tick), HEIGHT - EDGE.bottom + 15, formatX(tick), "middle")),
    writeText(width - EDGE.right, HEIGHT - 4, xLabel, "end"),
    writeText(EDGE.left, HEIGHT - 4, `↑ ${yLabel}`, "start"),
  ];
  const paths = lines.map(({ points: own }, number) => drawLine(own, number, across.place, down.place));
  return makeSvg("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` }, ...marks, ...paths);
}

function drawNothing(width) {
  return makeSvg("svg", { width, height: HEIGHT }, writeText(width / 2, HEIGHT / 2, "nothing yet", "middle"));
}

/** Values to pixels, with ticks that lie between the ends where `inside`, else that hold them. */
function makeAxis(values, most, [start, stop], inside) {
  const [least, greatest] = [Math.min(...values), Math.max(...values)];
  const ticks = chooseTicks(least, greatest, most);
  const [low, high] = inside && greatest > least ? [least, greatest] : [ticks[0], ticks[ticks.length - 1]];
  const place = (value) => start + ((value - low) / (high - low)) * (stop - start);
  return { ticks: ticks.filter((tick) => tick >= low && tick <= high), place };
}

function drawLine(points, number, placeX, placeY) {
  const colour = `c${number % NUM_COLOURS}`;
  const places = points.map(([x, y]) => [placeX(x).toFixed(1), placeY(y).toFixed(1)]);
  if (places.length === 1) {
    return makeSvg("circle", { class: colour, cx: places[0][0], cy: places[0][1], r: 3, fill: "currentColor" });
  }
  return makeSvg("polyline", {
    class: colour,
    points: places.map((one) => one.join(",")).join(" "),
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 2,
    "stroke-linejoin": "round",
    "stroke-dasharray": DASHES[number % DASHES.length] || null,
  });
}

function drawBars(bins, width, unit) {
  const most = Math.max(1, ...bins.map((bin) => Math.max(bin.count, bin.before ?? 0)));
  const down = makeAxis([0, most], 4, [HEIGHT - EDGE.bottom, EDGE.top], false);
  const pitch = (width - EDGE.left - EDGE.right) / bins.length;
  const longest = Math.max(...bins.map((bin) => bin.label.length));
  const stride = Math.max(1, Math.ceil((longest * 7 + 8) / pitch));
  const bars = bins.flatMap((bin, number) => drawBin(bin, EDGE.left + number * pitch, pitch, down.place));
  const labels = bins.flatMap((bin, number) => {
    const middle = EDGE.left + (number + 0.5) * pitch;
    return number % stride ? [] : [writeText(middle, HEIGHT - EDGE.bottom + 15, bin.label, "middle")];
  });
  return makeSvg(
    "svg",
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` },
    ...down.ticks.map((tick) => drawGridLine(down.place(tick), width, formatTick(tick))),
    ...bars,
    ...labels,
    writeText(width - EDGE.right, HEIGHT - 4, unit, "end"),
  );
}

function drawBin({ label, count, before }, left, pitch, place) {
  const gap = Math.min(2, pitch / 6);
  const box = (value) => ({ x: left + gap, width: pitch - 2 * gap, y: place(value), height: place(0) - place(value) });
  const words = before === undefined ? `${label}: ${count}` : `${label}: ${count}, before ${before}`;
  const bar = makeSvg("rect", { ...box(count), class: "bin" }, makeSvg("title", {}, words));
  return before === undefined ? [bar] : [bar, makeSvg("rect", { ...box(before), class: "bin-before" })];
}

function drawGridLine(y, width, text) {
  return makeSvg(
    "g",
    {},
    makeSvg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y }),
    writeText(EDGE.left - 7, y + 4, text, "end"),
  );
}

function writeText(x, y, text, anchor) {
  return makeSvg("text", { x, y, "text-anchor": anchor }, text);
}

function makeKey(name, number) {
  const dash = DASHES[number % DASHES.length] || null;
  const pen = { stroke: "currentColor", "stroke-width": 2.5, "stroke-dasharray": dash };
  const line = makeSvg("line", { x1: 0, x2: 22, y1: 5, y2: 5, ...pen });
  const colour = `c${number % NUM_COLOURS}`;
  const sample = makeSvg("svg", { class: colour, width: 22, height: 10, "aria-hidden": "true" }, line);
  return make("li", {}, sample, make("span", { class: "text" }, name));
}

function describeLine({ name, points }, formatX, yLabel) {
  if (!points.length) return `${name}: nothing yet.`;
  const [[x0, y0], [x1, y1]] = [points[0], points[points.length - 1]];
  return `${name}: ${formatTick(y0)} ${yLabel} at ${formatX(x0)}, ${formatTick(y1)} at ${formatX(x1)}.`;
}

function makeLineTable(title, xLabel, lines, formatX) {
  const rows = lines.flatMap(({ name, points }) =>
    decimate(points, Math.min(MAX_ROWS, MAX_POINTS)).map(([x, y]) => [name, formatX(x), formatTick(y)]),
  );
  return makeHiddenTable(title, ["line", xLabel, "value"], rows);
}
