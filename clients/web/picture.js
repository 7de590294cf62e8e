/** The stage: photograph, heat map and boxes of the chosen image. */
import { drawBoxes, placeTag, pointAtBox } from "./box-drawing.js";
import { find, onlyWhenChanged } from "./dom.js";
import { drawHeatMap } from "./heat.js";
import { getHeatLabel, getHeatMap, getShown } from "./shown.js";
import { change, getSelected, state } from "./state.js";
import { count, formatShare, formatPercent } from "./words.js";

const photo = find("photo");

/** Connects the stage to the state; gives its view. */
export function makePicture() {
  photo.addEventListener("load", () => showFrame(photo.naturalWidth / photo.naturalHeight));
  photo.addEventListener("error", () => showFrame(0));
  const showPhoto = onlyWhenChanged((image) => String(image?.id), setPhoto);
  const showHeat = onlyWhenChanged(
    (shown) =>
      shown ? JSON.stringify([shown.image.id, shown.image.answer.request_id, shown.recipe, state.heatLabel]) : "",
    setHeat,
  );
  const showBoxes = onlyWhenChanged((shown) => (shown ? describeBoxes(shown) : ""), setBoxes);
  return () => {
    const [image, shown] = [getSelected(), getShown(state)];
    showPhoto(image);
    showHeat(shown);
    showBoxes(shown);
    find("busy").hidden = image?.status !== "running";
    find("heat").style.opacity = String(state.opacity);
    if (image) describe(image, shown);
    point(shown);
  };
}

/**
 * The place of the box that is to stand out, if any.
 * @returns {number | null}
 */
export function getPointed() {
  return state.pointed ?? state.pinned;
}

/**
 * The label of this index among those of the image.
 * @param {import("./shown.js").Shown} shown
 * @param {number} index
 * @returns {string}
 */
export function nameLabel(shown, index) {
  return shown.labels.find((label) => label.index === index)?.name ?? String(index);
}

function setPhoto(image) {
  find("empty").hidden = Boolean(image);
  find("picture").hidden = !image;
  find("well").classList.toggle("filled", Boolean(image));
  find("frame").hidden = true; // until the photograph is there
  find("unseen").hidden = true;
  if (image) photo.src = image.url;
  else photo.removeAttribute("src");
}

function showFrame(aspect) {
  find("frame").hidden = !aspect;
  find("unseen").hidden = Boolean(aspect);
  if (aspect) find("frame").style.setProperty("--aspect", String(aspect));
}

function setHeat(shown) {
  const merged = shown && getHeatMap(shown, getHeatLabel(state, shown));
  drawHeatMap(find("heat"), merged, shown?.sizeWH ?? [1, 1]);
}

function setBoxes(shown) {
  const show = (pointed) => () => change({ pointed });
  const listen = (place) => ({ pointerenter: show(place), pointerleave: show(null) });
  drawBoxes(find("boxes"), shown?.sizeWH ?? [1, 1], shown?.boxes ?? [], listen);
}

function describeBoxes(shown) {
  return JSON.stringify([shown.image.id, shown.image.answer.request_id, shown.boxes]);
}

function describe(image, shown) {
  const names = shown ? shown.labels.map((label) => label.name).join(", ") : "";
  photo.alt = shown ? `${image.file.name}: ${count(shown.boxes.length, "box")} of ${names}` : image.file.name;
  find("name").textContent = image.file.name;
  find("facts").textContent = shown ? describeFacts(shown) : "";
}

function describeFacts({ sizeWH, labels, image }) {
  const { top1 } = image.item;
  const facts = [`${sizeWH.join(" × ")} px`];
  const scored = labels.map((label) => `${label.name} ${formatPercent(label.score)}`).join(", ");
  facts.push(`classifier: ${scored}`);
  if (!labels.some((label) => label.index === top1.index)) {
    facts.push(`its first choice would be ${top1.name}, ${formatPercent(top1.score)}`);
  }
  return facts.join(" · ");
}

/** Lets one box stand out, with a tag that says what it is. */
function point(shown) {
  const place = shown ? getPointed() : null;
  pointAtBox(find("boxes"), place);
  const box = place === null ? undefined : shown.boxes[place];
  const text = box && `${nameLabel(shown, box.label)} · τ ${formatShare(box.threshold)} · ${box.score.toFixed(2)}`;
  placeTag(find("tag"), shown?.sizeWH ?? [1, 1], box, text);
}
