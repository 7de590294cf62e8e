/** A few images of a source as a job of kind mine would label them: boxes and heat maps over small pictures. */
import { ask, ProblemError } from "./api.js";
import { drawBoxes } from "./box-drawing.js";
import { colourClass } from "./colours.js";
import { announce, make, makeSvg } from "./dom.js";
import { drawHeatMap } from "./heat.js";
import { makePost } from "./job-planner.js";
import { decodeCam, mergeCams } from "./merging.js";
import { makeCard } from "./problem-cards.js";
import { count, formatPercent } from "./words.js";

const NUM_IMAGES = 3;

/**
 * The part of the page that shows a preview when it is asked for.
 * @param {object} hooks
 * @param {() => string | null} hooks.getBody the job, null while it is not complete
 * @param {(problem: object) => object[]} hooks.blame shows errors at their fields; those that belong to none
 * @returns {{element: HTMLElement, note: () => void}} `note` says that the job has changed
 */
export function makePreview({ getBody, blame }) {
  const button = make("button", { type: "button", class: "button", click: run }, "Label a few images");
  const state = make("p", { class: "quiet", role: "status" });
  const images = make("div", { class: "samples" });
  const heat = make("input", { type: "checkbox", id: "with-heat", change: toggleHeat });
  const tick = make("label", { class: "tick", for: "with-heat", hidden: true }, heat, "Heat maps");
  heat.checked = true;
  let shownBody = null;

  function toggleHeat() {
    images.classList.toggle("plain", !heat.checked);
  }

  async function run() {
    const body = getBody();
    if (body === null) {
      state.textContent = "Some fields are still to be filled in.";
      return;
    }
    button.disabled = true;
    state.textContent = "Labelling…";
    try {
      const answer = await ask(`/v1/jobs:preview?images=${NUM_IMAGES}`, makePost(body));
      show(answer, JSON.parse(body).classifier);
      shownBody = body;
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      state.textContent = "";
      const others = blame(error.problem);
      images.replaceChildren(makeCard({ ...error.problem, errors: others }));
    } finally {
      button.disabled = false;
    }
  }

  function show({ items, recipe, model }, classifier) {
    images.replaceChildren(...items.map((item) => makeSample(item, recipe)));
    const isOther = classifier !== undefined && classifier !== model.classifier;
    state.textContent = isOther
      ? `By ${model.classifier}, the classifier of the service; the job takes another one.`
      : "";
    tick.hidden = false;
    button.textContent = "Label them again";
    announce(`${count(items.length, "image")} labelled`);
  }

  return {
    element: make(
      "section",
      { class: "preview section", "aria-label": "Preview" },
      make("div", { class: "headline" }, make("h2", {}, "Preview"), tick),
      make(
        "p",
        { class: "hint quiet" },
        "Some images of the source, with the boxes that this job would mine. Nothing is written.",
      ),
      make("div", { class: "actions" }, button, state),
      images,
    ),
    note: () => {
      if (shownBody === null) return;
      const isOld = getBody() !== shownBody;
      images.classList.toggle("old", isOld);
      state.textContent = isOld ? "The job has changed since." : "";
    },
  };
}

function makeSample(item, recipe) {
  const figure = make("figure", { class: "card sample" });
  if (item.jpeg) figure.append(makeFrame(item, recipe));
  figure.append(make("figcaption", {}, make("span", { class: "text" }, item.key), ...describe(item)));
  return figure;
}

function makeFrame(item, recipe) {
  const boxes = item.boxes ?? [];
  const photo = make("img", {
    src: `data:image/jpeg;base64,${item.jpeg}`,
    alt: `${item.key}: ${count(boxes.length, "box")}`,
  });
  const heat = make("canvas", { "aria-hidden": "true" });
  const drawing = makeSvg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
  const frame = make("div", { class: "frame" }, photo, heat, drawing);
  photo.addEventListener("load", () =>
    frame.style.setProperty("--aspect", String(photo.naturalWidth / photo.naturalHeight)),
  );
  if (!item.labels) return frame;
  const size = [item.width, item.height];
  const cams = item.cams.filter((cam) => cam.label === item.labels[0]?.index).map(decodeCam);
  const merged = cams.length ? mergeCams(cams, size, recipe.mining) : "";
  drawHeatMap(heat, typeof merged === "string" ? null : merged, size);
  drawBoxes(drawing, size, boxes);
  return frame;
}

function describe({ labels, boxes, problem }) {
  if (problem) return [make("span", { class: "fault text" }, `${problem.title}: ${problem.detail}`)];
  const names = labels.map(({ index, name, score }) => {
    const text = score === null ? name : `${name} ${formatPercent(score)}`;
    return make(
      "span",
      { class: "label" },
      make("span", { class: `swatch ${colourClass(index)}`, "aria-hidden": "true" }),
      text,
    );
  });
  return [...names, make("span", { class: "quiet number" }, count(boxes.length, "box"))];
}
