/** Numbers and counts in words. */

/**
 * A number between 0 and 1 with two decimals, or up to four where it has them.
 * @param {number} value
 * @returns {string}
 */
export function formatShare(value) {
  const short = value.toFixed(2);
  return Math.abs(Number(short) - value) < 5e-5 ? short : String(Number(value.toFixed(4)));
}

/**
 * A probability in percent.
 * @param {number} share
 * @returns {string}
 */
export function formatPercent(share) {
  const percent = 100 * share;
  return percent >= 1 || percent === 0 ? `${percent.toFixed(0)} %` : "< 1 %";
}

/**
 * A number of bytes in MB or kB.
 * @param {number} bytes
 * @returns {string}
 */
export function formatBytes(bytes) {
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} kB`;
}

/**
 * A count and its noun.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function count(count, one, many = `${one}${one.endsWith("x") ? "es" : "s"}`) {
  return `${count === 0 ? "no" : count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const REASONS = {
  "flat-map": "its map is flat, so there is nothing to cut",
  "not-finite": "its map holds numbers that are none",
  "no-extent": "what lies above the thresholds has no extent",
};

/**
 * Why a label has no box.
 * @param {string} reason
 * @returns {string}
 */
export function explainReason(reason) {
  return REASONS[reason] ?? reason;
}
