/** Taking a label set along: pre-training from it, exports in the formats of other tools. */
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
 * The link to the form of a job that trains a detector on a label set.
 * @param {string} job
 * @returns {HTMLElement}
 */
export function makePretrainLink(job) {
  const query = new URLSearchParams({ kind: "pretrain", label_set: `job:${job}` });
  return make("a", { class: "button primary", href: `/jobs/new?${query}` }, "Pre-train a detector from it");
}
