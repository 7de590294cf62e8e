/** One colour for each label, the same wherever it shows up. The colours themselves are in `base.css`. */

const NUM_COLOURS = 6;
const places = new Map();

/**
 * The style class of a label's colour; labels take the colours in the order in which they are met.
 * @param {number} label
 * @returns {string}
 */
export function colourClass(label) {
  if (!places.has(label)) places.set(label, places.size % NUM_COLOURS);
  return `c${places.get(label)}`;
}
