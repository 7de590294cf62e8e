/** Making and finding elements. Text is always text: nothing here reads markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * The element of the page with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function find(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element ${id}`);
  return element;
}

/**
 * A new element. Attributes that are functions are event listeners (`click`), `true` stands for an empty
 * value, and `false`, null and undefined are left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/**
 * A new SVG element; as `make`.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function makeSvg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Says something to those who hear the page instead of seeing it.
 * @param {string} text
 */
export function announce(text) {
  const live = find("live");
  if (live.textContent !== text) live.textContent = text;
}

/**
 * A function that calls `action` only when its key differs from the last one.
 * @template T
 * @param {(value: T) => string} describe
 * @param {(value: T) => void} action
 * @returns {(value: T) => void}
 */
export function onlyWhenChanged(describe, action) {
  let last = null;
  return (value) => {
    const key = describe(value);
    if (key === last) return;
    last = key;
    action(value);
  };
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}
