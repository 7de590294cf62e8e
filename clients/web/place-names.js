/** Places, which are local paths or `s3://bucket/prefix`, as people call them. */

/**
 * The last part of a place.
 * @param {string} place
 * @returns {string}
 */
export function nameEnd(place) {
  return dropSlashes(place).split("/").pop() || place;
}

/**
 * A place beside another one.
 * @param {string} place
 * @param {string} ending
 * @returns {string}
 */
export function placeBeside(place, ending) {
  return `${dropSlashes(place)}-${ending}`;
}

function dropSlashes(place) {
  return place.replace(/\/+$/, "");
}
