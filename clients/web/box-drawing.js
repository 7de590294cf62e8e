/** Boxes over a photograph, and the tag that says what one of them is. Their looks are in `picture.css`. */
import { colourClass } from "./colours.js";
import { makeSvg } from "./dom.js";

/**
 * Draws boxes in place of those that were there.
 * @param {SVGElement} drawing that covers the image
 * @param {[number, number]} sizeWH of the image
 * @param {{xyxy: number[], label: number}[]} boxes
 * @param {(place: number) => Record<string, unknown>} [listen] further attributes of a box, such as listeners
 */
export function drawBoxes(drawing, sizeWH, boxes, listen = () => ({})) {
  drawing.setAttribute("viewBox", `0 0 ${sizeWH.join(" ")}`);
  drawing.replaceChildren(...boxes.map((box, place) => makeBox(box, listen(place))));
}

/**
 * Lets one box stand out, or none.
 * @param {SVGElement} drawing of `drawBoxes`
 * @param {number | null} place
 */
export function pointAtBox(drawing, place) {
  drawing.classList.toggle("pointing", place !== null);
  [...drawing.children].forEach((box, index) => box.classList.toggle("pointed", index === place));
}

/**
 * Puts a tag at the upper left corner of a box, or hides it.
 * @param {HTMLElement} tag
 * @param {[number, number]} sizeWH of the image
 * @param {{xyxy: number[]} | undefined} box
 * @param {string} text
 */
export function placeTag(tag, sizeWH, box, text) {
  tag.hidden = !box;
  if (!box) return;
  tag.textContent = text;
  tag.style.left = `${(100 * box.xyxy[0]) / sizeWH[0]}%`;
  tag.style.top = `${(100 * box.xyxy[1]) / sizeWH[1]}%`;
}

function makeBox(box, attributes) {
  const [x, y, right, bottom] = box.xyxy;
  const corners = { x, y, width: right - x, height: bottom - y };
  return makeSvg(
    "g",
    { class: `box ${colourClass(box.label)}`, ...attributes },
    makeSvg("rect", { class: "casing", ...corners }),
    makeSvg("rect", { class: "line", ...corners }),
  );
}
