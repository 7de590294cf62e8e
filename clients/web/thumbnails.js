/** Pictures that only the key of this tab may see: they load when they come near the view. */
import { askRaw } from "./api.js";
import { make } from "./dom.js";

const NEAR = "400px"; // how far from the view a picture starts to load

const pending = new Map(); // element -> its controller while it loads
const paths = new WeakMap();
const observer = new IntersectionObserver(followView, { rootMargin: NEAR });

/**
 * A picture that loads when it comes near the view, and stops loading when it goes before it is there. Its blob URL
 * is revoked as soon as the picture is decoded, so nothing is held once the element has left the document.
 * @param {string} path of the image, below `/v1`
 * @param {string} alt
 * @param {{width?: number, height?: number}} [size] whose ratio the element takes, so that nothing moves later
 * @returns {HTMLElement} `.thumb`, with the class `shown` or `unseen` once that is known
 */
export function makeThumbnail(path, alt, { width, height } = {}) {
  const element = make("span", { class: "thumb" }, make("img", { alt, draggable: "false", hidden: true }));
  if (width && height) element.style.aspectRatio = `${width} / ${height}`;
  paths.set(element, path);
  observer.observe(element);
  return element;
}

function followView(entries) {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !pending.has(target)) load(target);
    else if (!isIntersecting) pending.get(target)?.abort();
  }
}

async function load(element) {
  const controller = new AbortController();
  pending.set(element, controller);
  try {
    const response = await askRaw(paths.get(element), { headers: { Accept: "image/*" }, signal: controller.signal });
    await show(element, await response.blob());
    finish(element, "shown");
  } catch (error) {
    if (error.name !== "AbortError") finish(element, "unseen");
  } finally {
    pending.delete(element);
  }
}

async function show(element, blob) {
  const picture = element.querySelector("img");
  const url = URL.createObjectURL(blob);
  picture.src = url;
  try {
    await picture.decode();
  } finally {
    URL.revokeObjectURL(url);
  }
}

function finish(element, outcome) {
  observer.unobserve(element);
  element.classList.add(outcome);
  const picture = element.querySelector("img");
  picture.hidden = outcome === "unseen";
  if (outcome === "shown") return;
  element.append(make("span", { class: "quiet" }, "No picture"));
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", `${picture.alt} (cannot be shown)`);
}
