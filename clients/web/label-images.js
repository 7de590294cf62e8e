/** The images of a label set, asked for page by page in the chosen order. */
import { ask } from "./api.js";

const PAGE = 60;

/**
 * @typedef {{class: string, order: "stored" | "worst", only: "all" | "no-box"}} Filter `class` is an index or empty
 * @typedef {{number: number, key: string, width: number, height: number, labels: object[], boxes: object[],
 *   no_box_reasons: object[], reasons: string[], cams?: object[]}} Item
 */

/**
 * Where a route about the label set of a job is.
 * @param {string} job
 * @param {string} [rest]
 * @returns {string}
 */
export function pathOf(job, rest = "") {
  return `/v1/jobs/${encodeURIComponent(job)}/label-set${rest}`;
}

/**
 * Where a picture of an image is, upright.
 * @param {string} job
 * @param {number} number
 * @param {number} side the longer one at most, in pixels
 * @returns {string}
 */
export function picturePath(job, number, side) {
  return pathOf(job, `/images/${number}/file?side=${side}`);
}

/**
 * One page of images.
 * @param {string} job
 * @param {Filter} filter
 * @param {{cams?: boolean, cursor?: string | null, limit?: number, signal?: AbortSignal}} [options]
 * @returns {Promise<{items: Item[], next_cursor: string | null, total: number}>}
 */
export function askImages(job, filter, { cams = false, cursor = null, limit = PAGE, signal } = {}) {
  const query = new URLSearchParams({
    order: filter.order,
    only: filter.only,
    cams: String(cams),
    limit: String(limit),
  });
  if (filter.class) query.set("class", filter.class);
  if (cursor) query.set("cursor", cursor);
  return ask(pathOf(job, `/images?${query}`), { signal });
}

/**
 * One image with its maps.
 * @param {string} job
 * @param {number} number
 * @returns {Promise<Item>}
 */
export function askImage(job, number) {
  return ask(pathOf(job, `/images/${number}`));
}

/**
 * The list of images that a filter gives, which grows as it is reached into.
 * @param {string} job
 * @param {{change: () => void, fail: (error: Error) => void}} listeners
 * @returns {{items: Item[], readonly total: number, readonly isComing: boolean, start: (filter: Filter) => void,
 *   reach: (place: number) => Promise<Item | undefined>}}
 */
export function makeImageList(job, { change, fail }) {
  let asking = new AbortController();
  let [filter, cursor, coming] = [null, null, null];
  const list = {
    items: [],
    total: 0,
    get isComing() {
      return coming !== null;
    },
    start(wanted) {
      asking.abort();
      asking = new AbortController();
      [filter, cursor, coming] = [wanted, null, null];
      [list.items, list.total] = [[], 0];
      next();
      change();
    },
    async reach(place) {
      const { signal } = asking;
      while (!signal.aborted && list.items.length <= place && (coming || cursor)) await (coming ?? next());
      return signal.aborted ? undefined : list.items[place];
    },
  };

  function next() {
    coming = load(asking.signal);
    return coming;
  }

  async function load(signal) {
    try {
      const page = await askImages(job, filter, { cursor, signal });
      if (signal.aborted) return;
      cursor = page.next_cursor;
      list.total = page.total;
      list.items = [...list.items, ...page.items];
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      cursor = null;
      list.total = list.items.length;
      fail(error);
    }
    coming = null;
    change();
  }

  return list;
}
