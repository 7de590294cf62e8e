/** What a label set of a job looks like: some images with their boxes, and how its boxes are distributed. */
import { ProblemError, ask } from "./api.js";
import { makeHistogram } from "./charts.js";
import { colourClass } from "./colours.js";
import { make, makeSvg, onlyWhenChanged } from "./dom.js";
import { makeThumbnail } from "./thumbnails.js";
import { count, formatShare } from "./words.js";

const NUM_IMAGES = 12;
const SIDE = 320;
const AGAIN_MS = 20_000;
const KINDS = ["mine", "predict", "recut", "self-train"];
const HISTOGRAMS = [
  { name: "boxes_per_image", title: "Boxes per image", unit: "boxes" },
  { name: "relative_size", title: "Relative size of boxes", unit: "√(box area / image area)" },
  { name: "aspect", title: "Shape of boxes", unit: "width / height" },
  { name: "scores", title: "Scores of boxes", unit: "score" },
];

/**
 * A section that is there once the label set is.
 * @param {string} job
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeSamples(job) {
  const amount = make("p", { class: "quiet" });
  const gallery = make("ul", { class: "gallery" });
  const charts = make("div", { class: "charts" });
  const path = `/v1/jobs/${encodeURIComponent(job)}/label-set`;
  const element = make(
    "section",
    { class: "section", hidden: true, "aria-labelledby": "samples-heading" },
    make("div", { class: "headline" }, make("h2", { id: "samples-heading" }, "Label set"), amount),
    gallery,
    charts,
    make("p", {}, make("a", { href: `/label-sets/${encodeURIComponent(job)}` }, "Look through the label set")),
  );
  const showImages = onlyWhenChanged(JSON.stringify, (items) =>
    gallery.replaceChildren(...items.map((item) => make("li", {}, makeSample(path, item)))),
  );
  const showStatistics = onlyWhenChanged(JSON.stringify, (statistics) =>
    charts.replaceChildren(...listHistograms(statistics)),
  );
  const load = async () => {
    const [described, images] = await Promise.all([ask(path), ask(`${path}/images?limit=${NUM_IMAGES}`)]);
    element.hidden = false;
    const score = described.statistics?.mean_score;
    const words = [count(described.images, "image"), count(described.boxes, "box")];
    if (Number.isFinite(score)) words.push(`mean score ${score.toFixed(2)}`);
    amount.textContent = words.join(" · ");
    showImages(images.items);
    showStatistics(described.statistics ?? {});
  };
  let asked = Number.NEGATIVE_INFINITY;
  const loadNow = onlyWhenChanged(describeStand, async () => {
    asked = performance.now();
    try {
      await load();
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error; // else there is no label set yet, or none at all
    }
  });
  const show = (now) => {
    const { done, parts_done: partsDone } = now.progress;
    const isDue = now.state === "RUNNING" ? partsDone && performance.now() - asked > AGAIN_MS : done;
    if (KINDS.includes(now.kind) && isDue) loadNow(now);
  };
  return { element, show };
}

function describeStand({ state, attempt, progress }) {
  return [state, attempt, progress.parts_done].join(" ");
}

function makeSample(path, item) {
  const { number, key, width, height, boxes, labels } = item;
  const size = { width, height };
  const words = `${key}: ${labels.map((label) => label.name).join(", ")}, ${count(boxes.length, "box")}`;
  const picture = makeThumbnail(`${path}/images/${number}/file?side=${SIDE}`, words, size);
  picture.append(drawBoxes(boxes, size));
  return make(
    "figure",
    { class: "sample" },
    picture,
    make("figcaption", { class: "text clipped", title: key }, labels.map((label) => label.name).join(", ") || key),
  );
}

function drawBoxes(boxes, { width, height }) {
  const rects = boxes.map(({ xyxy: [x1, y1, x2, y2], label, score }) =>
    makeSvg(
      "rect",
      { class: colourClass(label), x: x1, y: y1, width: x2 - x1, height: y2 - y1 },
      makeSvg("title", {}, score.toFixed(2)),
    ),
  );
  return makeSvg("svg", { class: "over", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...rects);
}

function listHistograms(statistics) {
  return HISTOGRAMS.filter(({ name }) => statistics[name]?.counts?.length).map(({ name, title, unit }) => {
    const { edges, counts } = statistics[name];
    const bins = counts.map((number, place) => ({ label: nameBin(edges, place), count: number }));
    return make("div", { class: "card" }, makeHistogram({ title, unit, bins }));
  });
}

/** A bin by its lower edge; the last one may have no upper one. */
function nameBin(edges, place) {
  const text = Number.isInteger(edges[place]) ? String(edges[place]) : formatShare(edges[place]);
  return edges[place + 1] === null ? `${text}+` : text;
}
