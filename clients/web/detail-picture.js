/** A photograph with one heat map and boxes over it; a box that is pointed at says what it is. */
import { askRaw } from "./api.js";
import { drawBoxes, placeTag, pointAtBox } from "./box-drawing.js";
import { make, makeSvg } from "./dom.js";
import { drawHeatMap } from "./heat.js";

/**
 * Makes the picture; it shows nothing yet.
 * @param {(place: number | null) => void} point a box is pointed at
 * @returns {{element: HTMLElement, setPhoto: (path: string, sizeWH: [number, number], alt: string) => void,
 *   setHeat: (merged: object | null) => void, setOpacity: (opacity: number) => void,
 *   setBoxes: (boxes: object[], describe: (box: object) => string) => void, point: (place: number | null) => void,
 *   clear: () => void}}
 */
export function makeDetailPicture(point) {
  const photo = make("img", { alt: "" });
  const heat = make("canvas", { "aria-hidden": "true" });
  const drawing = makeSvg("svg", { "aria-hidden": "true", preserveAspectRatio: "none" });
  const tag = make("p", { class: "tag", "aria-hidden": "true", hidden: true });
  const frame = make("div", { class: "frame" }, photo, heat, drawing, tag);
  const unseen = make("p", { class: "quiet unseen", hidden: true }, "There is no picture of this image.");
  let loading = new AbortController();
  let [size, shown, say] = [[1, 1], [], () => ""];

  function clear() {
    loading.abort();
    photo.removeAttribute("src");
    drawHeatMap(heat, null, size);
    drawing.replaceChildren();
    tag.hidden = true;
  }

  async function load(path, { signal }) {
    try {
      const response = await askRaw(path, { headers: { Accept: "image/*" }, signal });
      const url = URL.createObjectURL(await response.blob());
      photo.src = url;
      await photo.decode().finally(() => URL.revokeObjectURL(url));
    } catch {
      if (!signal.aborted) unseen.hidden = false;
    }
  }

  return {
    element: make("div", { class: "picture" }, frame, unseen),
    clear,
    setPhoto(path, sizeWH, alt) {
      clear();
      size = sizeWH;
      frame.style.setProperty("--aspect", String(size[0] / size[1]));
      unseen.hidden = true;
      photo.alt = alt;
      loading = new AbortController();
      load(path, loading);
    },
    setHeat: (merged) => drawHeatMap(heat, merged, size),
    setOpacity: (opacity) => (heat.style.opacity = String(opacity)),
    setBoxes(boxes, describe) {
      [shown, say] = [boxes, describe];
      tag.hidden = true;
      const listen = (place) => ({ pointerenter: () => point(place), pointerleave: () => point(null) });
      drawBoxes(drawing, size, boxes, listen);
    },
    point(place) {
      pointAtBox(drawing, place);
      const box = place === null ? undefined : shown[place];
      placeTag(tag, size, box, box ? say(box) : "");
    },
  };
}
