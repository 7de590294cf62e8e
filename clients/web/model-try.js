/** A detector tried on an image: boxes with names and scores, and a slider for the least score. */
import { ask, ProblemError } from "./api.js";
import { drawBoxes, placeTag, pointAtBox } from "./box-drawing.js";
import { describeBox, makeBoxList } from "./box-list.js";
import { announce, make, makeSvg } from "./dom.js";
import { makeButton, makeCard } from "./problem-cards.js";
import { setSlider } from "./threshold-sliders.js";
import { count, formatShare } from "./words.js";

const LEAST_SCORE = 0.05;
const FIRST_SCORE = 0.3;

/**
 * The section.
 * @param {string} job that made the detector
 * @returns {HTMLElement}
 */
export function makeTrial(job) {
  const file = make("input", { type: "file", accept: "image/*", hidden: true, change: () => take(file.files) });
  const choose = make("button", { type: "button", class: "button", click: () => file.click() }, "Choose an image");
  const hint = make("p", { class: "quiet" }, "Drop an image here, or choose one. It is looked at and not kept.");
  const photo = make("img", { alt: "" });
  const drawing = makeSvg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
  const tag = make("p", { class: "tag", "aria-hidden": "true", hidden: true });
  const frame = make("div", { class: "frame", hidden: true }, photo, drawing, tag);
  const slider = make("input", {
    type: "range",
    id: "least-score",
    min: LEAST_SCORE,
    max: 1,
    step: 0.01,
    value: FIRST_SCORE,
    input: show,
  });
  const value = make("span", { class: "value", "aria-hidden": "true" });
  const found = make("div", { class: "section" });
  const side = make(
    "div",
    { class: "trial-side", hidden: true },
    make("div", { class: "slider" }, make("label", { for: "least-score" }, "Score"), slider, value),
    found,
  );
  const trouble = make("div", { class: "trouble" });
  const element = make(
    "section",
    {
      class: "card section trial",
      "aria-labelledby": "trial-title",
      dragover: drag,
      dragleave: () => element.classList.remove("dropping"),
      drop,
    },
    make("h2", { id: "trial-title" }, "Try it"),
    make("div", { class: "actions" }, choose, hint, file),
    trouble,
    make("div", { class: "trial-body" }, frame, side),
  );
  let [answer, url, asking] = [null, null, new AbortController()];

  function drag(event) {
    event.preventDefault();
    element.classList.add("dropping");
  }

  function drop(event) {
    event.preventDefault();
    element.classList.remove("dropping");
    take(event.dataTransfer.files);
  }

  async function take([image]) {
    if (!image) return;
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    reset(image);
    try {
      const query = new URLSearchParams({ model: job, min_score: String(LEAST_SCORE) });
      const headers = { "Content-Type": image.type || "application/octet-stream" };
      answer = await ask(`/v1/detections?${query}`, { method: "POST", headers, body: image, signal });
      frame.style.setProperty("--aspect", String(answer.width / answer.height));
      hint.textContent = `${image.name} · ${answer.width} × ${answer.height} px`;
      [frame.hidden, side.hidden] = [false, false];
      show();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ProblemError)) throw error;
      hint.textContent = image.name;
      const again = error.problem.retryable ? [makeButton("Try again", () => take([image]))] : [];
      trouble.replaceChildren(makeCard(error.problem, again));
      announce(error.problem.title);
    }
  }

  function reset(image) {
    answer = null;
    file.value = "";
    trouble.replaceChildren();
    drawing.replaceChildren();
    hint.textContent = `Looking at ${image.name}…`;
    side.hidden = frame.hidden = true;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(image);
    photo.src = url;
    photo.alt = image.name;
  }

  function show() {
    setSlider(slider, value, Number(slider.value), formatShare);
    if (!answer) return;
    const boxes = answer.boxes.filter((box) => box.score >= Number(slider.value));
    const names = new Map(boxes.map((box) => [box.label, box.name]));
    const nameLabel = (label) => names.get(label) ?? String(label);
    const size = [answer.width, answer.height];
    const point = (place) => {
      pointAtBox(drawing, place);
      const box = boxes[place];
      placeTag(tag, size, box, box ? describeBox(box, box.name) : "");
    };
    drawBoxes(drawing, size, boxes, (place) => ({ pointerenter: () => point(place), pointerleave: () => point(null) }));
    tag.hidden = true;
    found.replaceChildren(...makeBoxList({ boxes, reasons: [], nameLabel }, point));
    announce(`${count(boxes.length, "box")} in ${photo.alt}`);
  }

  show();
  return element;
}
