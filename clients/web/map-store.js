/** Maps of images: asked for once, decoded and merged when they are needed, cut again as settings say. */
import { askImage } from "./label-images.js";
import { decodeCam, mergeCams, mineLabel } from "./mining.js";

const MOST = 400; // images whose maps are kept

/**
 * @typedef {{item: import("./label-images.js").Item, cams: object[] | null, merged: Map<number, object | string>,
 *   cut: {mining: object, boxes: object[], reasons: object[]} | null}} Entry
 */

/**
 * The maps of a label set's images by their numbers.
 * @param {string} job
 * @returns {{get: (number: number) => Entry | undefined, add: (item: object, isKept?: boolean) => Entry,
 *   load: (number: number) => Promise<Entry>, release: () => void}} `add` keeps an image until all are released
 */
export function makeMapStore(job) {
  const entries = new Map();
  const coming = new Map();
  const kept = new Set();

  function add(item, isKept = false) {
    const entry = entries.get(item.number) ?? { item, cams: null, merged: new Map(), cut: null };
    if (isKept) kept.add(item.number);
    entries.delete(item.number);
    entries.set(item.number, entry); // the last one asked for goes last
    if (entries.size > MOST) entries.delete([...entries.keys()].find((number) => !kept.has(number)));
    return entry;
  }

  function load(number) {
    const known = entries.get(number);
    if (known) return Promise.resolve(add(known.item));
    if (!coming.has(number)) {
      const asked = askImage(job, number).then((item) => add(item));
      coming.set(number, asked);
      asked.catch(() => {}).finally(() => coming.delete(number));
    }
    return coming.get(number);
  }

  return { get: (number) => entries.get(number), add, load, release: () => kept.clear() };
}

/**
 * The merged map of one label, or the reason why there is none; null where no map of it is stored.
 * @param {Entry} entry
 * @param {number} label
 * @param {object} mining
 * @returns {import("./merging.js").MergedMap | string | null}
 */
export function getMerged(entry, label, mining) {
  entry.cams ??= (entry.item.cams ?? []).map(decodeCam);
  const cams = entry.cams.filter((cam) => cam.label === label);
  if (!cams.length) return null;
  if (!entry.merged.has(label)) entry.merged.set(label, mergeCams(cams, [entry.item.width, entry.item.height], mining));
  return entry.merged.get(label);
}

/**
 * Cuts the boxes of an image again, in steps of some milliseconds; then `entry.cut` holds them.
 * @param {Entry} entry
 * @param {object} mining
 * @yields {void}
 */
export function* cutEntry(entry, mining) {
  if (entry.cut?.mining === mining) return;
  const { item } = entry;
  const [boxes, reasons] = [[], []];
  if (!entry.cams) {
    entry.cams = (item.cams ?? []).map(decodeCam);
    yield;
  }
  for (const label of new Set(entry.cams.map((cam) => cam.label))) {
    const merged = getMerged(entry, label, mining);
    yield;
    const found = mineLabel(merged, label, [item.width, item.height], mining);
    boxes.push(...found.boxes);
    if (found.reason) reasons.push({ label, reason: found.reason });
    yield;
  }
  entry.cut = { mining, boxes, reasons };
}
