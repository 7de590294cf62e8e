/** Taking results along: downloads, and the request as a command. */
import { askClasses, getKey } from "./api.js";
import { describeCurl } from "./curl.js";
import { announce, find, make } from "./dom.js";
import { exportCoco, exportJson, exportVoc, exportYolo, getStem } from "./exports.js";
import { getShown } from "./shown.js";
import { getRecipe, state } from "./state.js";
import { makeZip } from "./zip.js";

const FORMATS = {
  coco: (result) => [makeText(exportCoco(result), "application/json"), "coco.json"],
  yolo: (result) => [makeZip(exportYolo(result)), "yolo.zip"],
  voc: (result) => [makeText(exportVoc(result), "application/xml"), "xml"],
  json: (result) => [makeText(exportJson(result), "application/json"), "json"],
};

/** Connects the buttons to the state; gives their view. */
export function makeTake() {
  for (const button of document.querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => download(button.dataset.format));
  }
  find("copy-curl").addEventListener("click", copyCurl);
  return () => {
    const shown = getShown(state);
    if (shown) find("curl").textContent = describeShown(shown);
  };
}

function describeShown({ image, isRecipe }) {
  return describeCurl({
    origin: location.origin,
    file: image.file,
    labels: image.labels.map((label) => label.wnid),
    recipe: getRecipe()?.name ?? "",
    thresholds: isRecipe ? null : state.thresholds,
    nmsIou: isRecipe ? null : state.nmsIou,
    hasKey: Boolean(getKey()),
  });
}

async function copyCurl() {
  const button = find("copy-curl");
  const text = find("curl").textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("The command is copied");
  } catch {
    getSelection().selectAllChildren(find("curl")); // the browser keeps its clipboard to itself
    button.textContent = "Press Ctrl C";
  }
  setTimeout(() => (button.textContent = "Copy as curl"), 2000);
}

async function download(format) {
  const shown = getShown(state);
  const { file, item, answer } = shown.image;
  const [blob, suffix] = FORMATS[format]({
    ...shown,
    fileName: file.name,
    exifOrientation: item.exif_orientation,
    model: answer.model,
    names: await nameLabels(shown.labels),
  });
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: `${getStem(file.name)}.${suffix}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  announce(`${link.download} is saved`);
}

/** A name for each label that no other class has: one that several share gets the WordNet id added. */
async function nameLabels(labels) {
  const named = labels.map(async (label) => {
    const isShared = (await countNamesakes(label).catch(() => 1)) > 1;
    return [label.index, isShared ? `${label.name} (${label.wnid})` : label.name];
  });
  return new Map(await Promise.all(named));
}

async function countNamesakes({ name }) {
  const { classes } = await askClasses(name);
  return classes.filter((other) => other.name === name).length;
}

function makeText(text, type) {
  return new Blob([text], { type });
}
