/** Taking a label set along: pre-training from it, exports in the formats of other tools. */
import { ask } from "./api.js";
import { make } from "./dom.js";
import { makeJobStarter } from "./job-starter.js";
import { placeBeside } from "./place-names.js";

const FORMATS = {
  coco: "COCO",
  voc: "Pascal VOC",
  yolo: "YOLO",
  "label-studio": "Label Studio",
  fiftyone: "FiftyOne",
  cvat: "CVAT",
  huggingface: "Hugging Face",
};

/**
 * The section.
 * @param {{job: string, place: string}} summary
 * @returns {HTMLElement}
 */
export function makeExports({ job, place }) {
  let format = "coco";
  const choose = (chosen) => () => {
    format = chosen;
    starter.suggest(placeBeside(place, format));
  };
  const choices = Object.entries(FORMATS).map(([value, text]) => {
    const input = make("input", { type: "radio", name: "format", value, change: choose(value) });
    input.checked = value === format;
    return make("label", { class: "choice" }, input, make("span", {}, text));
  });
  const formats = make(
    "fieldset",
    { class: "field" },
    make("legend", {}, "Format"),
    make("div", { class: "choices" }, ...choices),
  );
  const images = make("input", { type: "checkbox" });
  images.checked = true;
  const starter = makeJobStarter({
    text: "Export",
    place: placeBeside(place, format),
    fields: [formats, make("label", { class: "radio" }, images, "With the images")],
    makeSpec: (out) => ({ kind: "export", label_set: { job }, out, format, images: images.checked ? "copy" : "none" }),
  });
  return make(
    "section",
    { class: "card section", "aria-labelledby": "export-title" },
    make("h2", { id: "export-title" }, "Export"),
    starter.element,
  );
}

/**
 * The link to the form of a job that trains a detector on a label set, with the classifier that drew its maps as soon
 * as that is known.
 * @param {string} job
 * @returns {HTMLElement}
 */
export function makePretrainLink(job) {
  const link = make("a", { class: "button primary" }, "Pre-train a detector from it");
  const lead = (classifier) => {
    const query = new URLSearchParams({ kind: "pretrain", label_set: `job:${job}`, ...classifier });
    link.href = `/jobs/new?${query}`;
  };
  lead({});
  findClassifier(job).then(lead, () => {}); // without it, the dry run or the job says what is missing
  return link;
}

/** The fields of a mine job that name its classifier, where it is not the bundled one; also of what was cut from it. */
async function findClassifier(job) {
  const { spec, after } = await ask(`/v1/jobs/${encodeURIComponent(job)}`);
  if (spec.kind === "recut" && after.length === 1) return findClassifier(after[0]);
  const { classifier, weights, classes } = spec.kind === "mine" ? spec : {};
  const isBundled = !classifier || (classifier === "lite0" && !weights);
  const named = isBundled ? [] : Object.entries({ classifier, weights, classes });
  return Object.fromEntries(named.filter(([, value]) => value));
}
