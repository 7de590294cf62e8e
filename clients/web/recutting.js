/** Cuts the boxes of a sample and of what is in view again, while the page stays quick. */
import { askImages } from "./label-images.js";
import { cutEntry } from "./map-store.js";
import { runInSlices } from "./time-slices.js";

const MOST_IMAGES = 100;
const PAGE = 25;
const AT_ONCE = 4; // images in view whose maps are asked for at the same time

/**
 * @typedef {{readonly mining: object | null, readonly sample: object[], setMining: (mining: object | null) => void,
 *   setFilter: (filter: object) => void, prepare: () => Promise<void>, look: (items: object[]) => void,
 *   watch: (item: object | null) => void,
 *   getBoxes: (item: object) => object[], getReasons: (item: object) => object[]}} Recutter
 */

/**
 * Makes what cuts again.
 * @param {string} job
 * @param {ReturnType<import("./map-store.js").makeMapStore>} maps
 * @param {{cut: () => void, settle: () => void, fail: (error: Error) => void}} listeners `cut`: some images have new
 *   boxes; `settle`: all of the sample have, or it is back to the stored ones
 * @returns {Recutter}
 */
export function makeRecutter(job, maps, { cut, settle, fail }) {
  let [mining, filter, sample, inView, watched] = [null, null, [], [], []];
  let [work, asking, preparing] = [new AbortController(), new AbortController(), null];

  async function run() {
    work.abort();
    work = new AbortController();
    const { signal } = work;
    if (!mining) return settle();
    lookForMaps(signal);
    await prepare();
    if (signal.aborted || !mining) return;
    if (await runInSlices(cutAll(mining), signal)) settle();
  }

  function* cutAll(wanted) {
    const numbers = new Set([...watched, ...inView, ...sample].map((item) => item.number));
    for (const number of numbers) {
      const entry = maps.get(number);
      if (!entry) continue;
      yield* cutEntry(entry, wanted);
      cut();
    }
  }

  /** Asks for the maps of what is in view and not of the sample, and cuts them as they come. */
  function lookForMaps(signal) {
    const missing = [...watched, ...inView].filter((item) => !maps.get(item.number));
    const take = async () => {
      for (let item = missing.shift(); item && !signal.aborted; item = missing.shift()) {
        const entry = await maps.load(item.number);
        if (!mining || signal.aborted) return;
        await runInSlices(cutEntry(entry, mining), signal);
        cut();
      }
    };
    for (let number = 0; number < AT_ONCE; number += 1) take().catch(fail);
  }

  function prepare() {
    preparing ??= loadSample(asking.signal).catch((error) => {
      preparing = null;
      if (error.name !== "AbortError") fail(error);
    });
    return preparing;
  }

  async function loadSample(signal) {
    const found = [];
    let cursor = null;
    do {
      const page = await askImages(job, filter, { cams: true, cursor, limit: PAGE, signal });
      page.items.forEach((item) => maps.add(item, true));
      found.push(...page.items.map(({ cams: _, ...rest }) => rest));
      cursor = page.next_cursor;
    } while (cursor && found.length < MOST_IMAGES);
    sample = found.slice(0, MOST_IMAGES);
    if (!mining) settle();
  }

  function catchUp(items) {
    if (mining && items.some((item) => maps.get(item.number)?.cut?.mining !== mining)) run();
  }

  const getCut = (item) => (mining ? maps.get(item.number)?.cut : null);
  return {
    get mining() {
      return mining;
    },
    get sample() {
      return sample;
    },
    prepare,
    setMining(wanted) {
      mining = wanted;
      run();
    },
    setFilter(wanted) {
      const kept = { class: wanted.class, order: "stored", only: "all" };
      if (filter?.class === kept.class) return;
      asking.abort();
      asking = new AbortController();
      [filter, sample, preparing] = [kept, [], null];
      maps.release();
      if (mining) run();
      else settle();
    },
    look(items) {
      inView = items;
      catchUp(items);
    },
    watch(item) {
      watched = item ? [item] : [];
      catchUp(watched);
    },
    getBoxes: (item) => getCut(item)?.boxes ?? item.boxes,
    getReasons: (item) => getCut(item)?.reasons ?? item.no_box_reasons,
  };
}
