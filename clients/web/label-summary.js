/** What a label set is, in facts and histograms. */
import { makeHistogram } from "./charts.js";
import { make } from "./dom.js";
import { count, explainReason, formatPercent, formatShare } from "./words.js";

/**
 * The facts of a label set.
 * @param {object} summary of `GET /v1/jobs/{job}/label-set`
 * @returns {HTMLElement}
 */
export function makeFacts(summary) {
  const { statistics: found } = summary;
  const facts = [
    ["Place", make("span", { class: "text mono" }, summary.place)],
    ["Images", describeImages(summary)],
    [
      "Boxes",
      `${summary.boxes.toLocaleString("en")}, ${(summary.boxes / Math.max(summary.ok, 1)).toFixed(2)} per image`,
    ],
    ["Recipe", describeRecipe(summary.recipe)],
    ["Drawn by", [summary.classifier, summary.engine, summary.precision].filter(Boolean).join(" · ")],
    ["First choice", `the label in ${formatPercent(found.top1_agreement)} of the images`],
    ["Doubtful", count(summary.num_suspicious, "image")],
  ];
  return make(
    "dl",
    { class: "facts-list" },
    ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { class: "text" }, value)]),
  );
}

/**
 * What has to be known before anything is read from the figures: that the set is not whole, or only a sample is shown.
 * @param {object} summary
 * @returns {HTMLElement[]}
 */
export function makeCautions(summary) {
  const cautions = [];
  if (summary.state === "partial") cautions.push("The set is partial: not all images have been labelled yet.");
  if (summary.sample.images < summary.ok) {
    const [shown, all] = [summary.sample.images, summary.ok].map((number) => number.toLocaleString("en"));
    cautions.push(`What is below is a random sample of ${shown} of ${all} images.`);
  }
  return cautions.map((text) => make("p", { class: "notice" }, text));
}

/**
 * Histograms of the sample.
 * @param {object} statistics
 * @returns {HTMLElement}
 */
export function makeStatistics(statistics) {
  const { boxes_per_image: perImage, relative_size: size, aspect, scores } = statistics;
  const last = perImage.counts.length - 1;
  const [width, height] = statistics.mean_box_wh.map((side) => side.toFixed(0));
  const score = Number.isFinite(statistics.mean_score) ? ` · mean score ${statistics.mean_score.toFixed(2)}` : "";
  const reasons = Object.entries(statistics.no_box_reasons).map(
    ([reason, number]) => `${number.toLocaleString("en")} × ${explainReason(reason)}`,
  );
  return make(
    "section",
    { class: "section", "aria-labelledby": "statistics-title" },
    make(
      "div",
      { class: "headline" },
      make("h2", { id: "statistics-title" }, "Statistics"),
      make("p", { class: "quiet" }, `mean box ${width} × ${height} px${score}`),
    ),
    make(
      "div",
      { class: "charts" },
      chart("Boxes per image", "boxes", perImage.counts, (place) => (place === last ? `${place}+` : String(place))),
      chart("Size", "√ (box area ÷ image area)", size.counts, (place) => nameRange(size.edges, place)),
      chart("Shape", "width ÷ height", aspect.counts, (place) => nameRange(aspect.edges, place)),
      chart("Scores", "score of the box", scores.counts, (place) => nameRange(scores.edges, place)),
    ),
    ...(reasons.length ? [make("p", { class: "hint quiet" }, `Labels without a box: ${reasons.join("; ")}.`)] : []),
  );
}

function chart(title, unit, counts, name) {
  const bins = counts.map((number, place) => ({ label: name(place), count: number }));
  return make("div", { class: "card" }, makeHistogram({ title, unit, bins }));
}

/** A bin by its upper edge; the last one, whose upper edge may be null, by its lower one. */
function nameRange(edges, place) {
  const upper = edges[place + 1];
  return Number.isFinite(upper) ? `< ${Number(upper)}` : `≥ ${Number(edges[place])}`;
}

function describeImages({ ok, failed, images }) {
  const parts = [`${ok.toLocaleString("en")} labelled`];
  if (failed) parts.push(`${failed.toLocaleString("en")} failed`);
  const missing = images - ok - failed;
  if (missing > 0) parts.push(`${missing.toLocaleString("en")} to come`);
  return parts.join(", ");
}

function describeRecipe(recipe) {
  const { mining } = recipe;
  if (!mining) return `${recipe.name}: boxes that a detector found`;
  const thresholds = mining.thresholds.map(formatShare).join(", ");
  return `${recipe.name} · thresholds ${thresholds} · NMS IoU ${formatShare(mining.nms_iou)}`;
}
