/** What is shown, in the formats of `dap export`: the same numbers, roundings and names. */
import { roundHalfEven, roundTo, shorten } from "./numbers.js";

/**
 * @typedef {import("./mining.js").Box} Box
 * @typedef {{fileName: string, sizeWH: [number, number], exifOrientation: number, labels: object[], boxes: Box[],
 *   reasons: object[], recipe: object, model: object, names: Map<number, string>}} Result
 * `names` has for each label a name that no other class has
 */

/**
 * A COCO annotation file; a category is numbered by its place among all classes, from 1.
 * @param {Result} result
 * @returns {string}
 */
export function exportCoco(result) {
  const [width, height] = result.sizeWH;
  const categories = sortLabels(result.labels).map(({ index, wnid }) => ({
    id: index + 1,
    name: result.names.get(index),
    supercategory: "",
    wnid,
  }));
  const annotations = result.boxes.map((box, place) => {
    const bbox = boxToCoco(box.xyxy);
    return {
      id: place + 1,
      image_id: 1,
      category_id: box.label + 1,
      bbox,
      area: roundTo(bbox[2] * bbox[3], 4),
      iscrowd: 0,
      segmentation: [],
      score: roundTo(box.score, 6),
      threshold: roundTo(box.threshold, 6),
    };
  });
  const info = { description: "pseudo boxes mined from image-level labels", recipe: result.recipe, ...result.model };
  const images = [{ id: 1, file_name: result.fileName, width, height }];
  return `${JSON.stringify({ info, licenses: [], categories, images, annotations }, null, 1)}\n`;
}

/**
 * The files of a YOLO data set without its image, by name; classes are those with a box.
 * @param {Result} result
 * @returns {Map<string, string>}
 */
export function exportYolo(result) {
  const used = sortLabels(result.labels).filter(({ index }) => result.boxes.some((box) => box.label === index));
  const numbers = new Map(used.map(({ index }, number) => [index, number]));
  const names = used.map(({ index }, number) => `  ${number}: ${JSON.stringify(result.names.get(index))}\n`);
  const lines = result.boxes.map((box) => {
    const values = boxToYolo(box.xyxy, result.sizeWH).map((value) => value.toFixed(6));
    return { line: `${numbers.get(box.label)} ${values.join(" ")}`, score: box.score.toFixed(6) };
  });
  const stem = getStem(result.fileName);
  return new Map([
    ["data.yaml", `train: images\nval: images\nnames:${names.length ? `\n${names.join("")}` : " {}\n"}`],
    [`labels/${stem}.txt`, lines.map(({ line }) => `${line}\n`).join("")],
    [`labels_conf/${stem}.txt`, lines.map(({ line, score }) => `${line} ${score}\n`).join("")],
  ]);
}

/**
 * A Pascal VOC file; corners are counted as in the devkit, from 1 and with both ends in the box.
 * @param {Result} result
 * @returns {string}
 */
export function exportVoc(result) {
  const [width, height] = result.sizeWH;
  const objects = result.boxes.map((box) => {
    const corners = boxToVoc(box.xyxy, result.sizeWH);
    const tags = ["xmin", "ymin", "xmax", "ymax"].map((tag, side) => `<${tag}>${corners[side]}</${tag}>`);
    return (
      `  <object>\n    <name>${escapeXml(result.names.get(box.label))}</name>\n    <pose>Unspecified</pose>\n` +
      "    <truncated>0</truncated>\n    <difficult>0</difficult>\n" +
      `    <bndbox>${tags.join("")}</bndbox>\n  </object>\n`
    );
  });
  return (
    `<annotation>\n  <folder>images</folder>\n  <filename>${escapeXml(result.fileName)}</filename>\n` +
    "  <source><database>pseudo boxes</database><annotation>dap devkit</annotation></source>\n" +
    `  <size><width>${width}</width><height>${height}</height><depth>3</depth></size>\n` +
    `  <segmented>0</segmented>\n${objects.join("")}</annotation>\n`
  );
}

/**
 * The answer of the service with the boxes that are shown, without maps.
 * @param {Result} result
 * @returns {string}
 */
export function exportJson(result) {
  const [width, height] = result.sizeWH;
  const item = {
    index: 0,
    name: result.fileName,
    width,
    height,
    exif_orientation: result.exifOrientation,
    labels: result.labels,
    boxes: result.boxes.map((box) => ({ ...box, score: shorten(box.score) })),
    no_box_reasons: result.reasons,
  };
  return `${JSON.stringify({ model: result.model, recipe: result.recipe, items: [item] }, null, 1)}\n`;
}

/**
 * A file name without its suffix and without what a file system may refuse.
 * @param {string} fileName
 * @returns {string}
 */
export function getStem(fileName) {
  return (
    fileName
      .replace(/\.[^.]*$/, "")
      .replace(/[\u0000-\u001f\u007f<>:"/\\|?*]/g, "_")
      .trim() || "image"
  );
}

function boxToCoco(xyxy) {
  const [left, top, right, bottom] = xyxy.map((side) => roundTo(side, 2));
  return [left, top, roundTo(right - left, 2), roundTo(bottom - top, 2)];
}

function boxToYolo(xyxy, sizeWH) {
  const [x1, y1, x2, y2] = xyxy.map((side, place) => Math.min(Math.max(side / sizeWH[place % 2], 0), 1));
  return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];
}

function boxToVoc([x1, y1, x2, y2], [width, height]) {
  const roundSide = (start, stop, limit) => {
    const first = Math.min(roundHalfEven(start), limit - 1);
    return [first, Math.min(Math.max(roundHalfEven(stop), first + 1), limit)];
  };
  const [left, right] = roundSide(x1, x2, width);
  const [top, bottom] = roundSide(y1, y2, height);
  return [left + 1, top + 1, right, bottom];
}

function sortLabels(labels) {
  return labels.toSorted((a, b) => a.index - b.index);
}

function escapeXml(text) {
  const writable = text.replace(/[\u0000-\u001f\u007f\ufffe\uffff]/g, " ");
  return writable.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
