/** The request of what is shown, as a command. */

/**
 * A curl command that asks for the boxes as they are shown.
 * @param {object} request
 * @param {string} request.origin of the service
 * @param {File} request.file
 * @param {string[]} request.labels none stand for `auto`
 * @param {string} request.recipe
 * @param {number[] | null} request.thresholds null: the recipe's
 * @param {number | null} request.nmsIou null: the recipe's
 * @param {boolean} request.hasKey whether a key is needed; the command then takes it from DAP_KEY
 * @returns {string}
 */
export function describeCurl({ origin, file, labels, recipe, thresholds, nmsIou, hasKey }) {
  const query = new URLSearchParams();
  for (const label of labels) query.append("labels", label);
  if (recipe) query.append("recipe", recipe);
  for (const threshold of thresholds ?? []) query.append("thresholds", String(threshold));
  if (nmsIou !== null) query.append("nms_iou", String(nmsIou));
  const path = file.name === "-" ? "./-" : file.name; // @- is the standard input
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  const parts = [`curl --data-binary ${quote(`@${path}`)}`, `-H ${quote(`Content-Type: ${type}`)}`];
  if (hasKey) parts.push('-H "Authorization: Bearer $DAP_KEY"');
  return [...parts, quote(`${origin}/v1/boxes?${query}`)].join(" \\\n  ");
}

/**
 * A word for a POSIX shell that stands for exactly this text.
 * @param {string} text
 * @returns {string}
 */
export function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
