/** Arithmetic that has to come out as it does in NumPy and Python. */

const { fround } = Math;

/**
 * The whole number nearest to `value`, halves to the even one, as Python's `round`.
 * @param {number} value
 * @returns {number}
 */
export function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/**
 * `value` rounded to so many decimals, as a number.
 * @param {number} value
 * @param {number} decimals
 * @returns {number}
 */
export function roundTo(value, decimals) {
  return Number(value.toFixed(decimals));
}

/**
 * A float32 with no more digits than tell it from its neighbours: 0.12, not 0.11999999731779099.
 * @param {number} value
 * @returns {number}
 */
export function shorten(value) {
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (fround(short) === fround(value)) return short;
  }
  return value;
}

/**
 * A percentile of float32 values, linear between neighbours, rounded as NumPy rounds it.
 * @param {Float32Array} values at least one
 * @param {number} percent 0 to 100
 * @returns {number}
 */
export function percentile(values, percent) {
  const sorted = Float32Array.from(values).sort();
  const place = fround((sorted.length - 1) * fround(fround(percent) / 100));
  const below = Math.floor(place);
  const rest = fround(place - below);
  const first = sorted[below];
  const second = sorted[Math.min(below + 1, sorted.length - 1)];
  const step = fround(second - first);
  return rest < 0.5 ? fround(first + fround(step * rest)) : fround(second - fround(step * fround(1 - rest)));
}

/**
 * The lowest and the highest of some values, `[0, 0]` of none.
 * @param {Float32Array} values
 * @returns {[number, number]}
 */
export function findRange(values) {
  if (!values.length) return [0, 0];
  let lowest = Infinity;
  let highest = -Infinity;
  for (const value of values) {
    if (value < lowest) lowest = value;
    if (value > highest) highest = value;
  }
  return [lowest, highest];
}
