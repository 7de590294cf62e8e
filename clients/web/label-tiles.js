/** One image of a label set in the grid: its picture with boxes over it, what it is called, why it looks doubtful. */
import { drawBoxes } from "./box-drawing.js";
import { make, makeSvg } from "./dom.js";
import { makeThumbnail } from "./thumbnails.js";
import { count } from "./words.js";

const SHAPE = 4 / 3; // width over height of a tile's picture, as in `image-grid.js`

/**
 * The tile of an image.
 * @param {import("./label-images.js").Item} item
 * @param {object} options
 * @param {string} options.path of its picture
 * @param {object[]} options.boxes
 * @param {boolean} options.hasReasons whether the reasons are told
 * @param {() => void} options.open
 * @returns {HTMLElement}
 */
export function makeImageTile(item, { path, boxes, hasReasons, open }) {
  const picture = makeThumbnail(path, "", item);
  picture.append(makeSvg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" }));
  picture.classList.add(item.width / item.height > SHAPE ? "wide" : "tall");
  const tile = make(
    "li",
    { class: "tile" },
    make(
      "button",
      { type: "button", class: "tile-button", click: open, title: item.key },
      make("span", { class: "stand" }, picture),
      make("span", { class: "file-name text" }, nameImage(item.key)),
      make("span", { class: "quiet tally" }),
      ...(hasReasons ? [make("span", { class: "doubts text" }, item.reasons.join("; "))] : []),
    ),
  );
  showBoxes(tile, item, boxes);
  return tile;
}

/**
 * Draws the boxes of a tile anew.
 * @param {HTMLElement} tile
 * @param {import("./label-images.js").Item} item
 * @param {object[]} boxes
 */
export function showBoxes(tile, item, boxes) {
  drawBoxes(tile.querySelector("svg"), [item.width, item.height], boxes);
  const names = item.labels.map((label) => label.name).join(", ");
  tile.querySelector(".tally").textContent = `${count(boxes.length, "box")}${names && ` of ${names}`}`;
  tile.classList.toggle("boxless", !boxes.length);
}

/**
 * The last part of a key.
 * @param {string} key
 * @returns {string}
 */
export function nameImage(key) {
  return key.slice(key.lastIndexOf("/") + 1) || key;
}
