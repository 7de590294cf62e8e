/** A grid of pictures of which only those near the view are in the document; the page scrolls. */
import { make } from "./dom.js";

const GAP = 12;
const NEAR = 600; // px above and below the view
const NARROW = { below: 600, least: 140 };
const LEAST = 180; // px of a tile's width
const STEPS = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: (columns) => -columns,
  ArrowDown: (columns) => columns,
};

/**
 * Makes the grid.
 * @template T
 * @param {object} parts
 * @param {string} parts.label what the list is called
 * @param {(item: T, place: number) => HTMLElement} parts.makeTile with one button
 * @param {() => number} parts.measureCaption px below the picture of a tile
 * @param {(lastPlace: number) => void} parts.reach more items are wanted
 * @param {() => void} parts.move other items came into view
 * @returns {{element: HTMLElement, setItems: (items: T[], total: number) => void, clear: () => void,
 *   focus: (place: number) => void, forEach: (action: (tile: HTMLElement, item: T) => void) => void, getView: () => T[]}}
 */
export function makeImageGrid({ label, makeTile, measureCaption, reach, move }) {
  const element = make("ul", { class: "tiles", role: "list", "aria-label": label });
  const tiles = new Map(); // place -> element
  let [items, total, shape, view] = [[], 0, { columns: 1, width: 0, height: 1 }, [0, 0]];

  function measure() {
    const room = element.clientWidth;
    const least = room < NARROW.below ? NARROW.least : LEAST;
    const columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
    const width = (room - GAP * (columns - 1)) / columns;
    const height = Math.round(width * 0.75 + measureCaption());
    const isChanged = width !== shape.width || height !== shape.height;
    shape = { columns, width, height };
    const rows = Math.ceil(total / columns);
    element.style.height = `${Math.max(0, rows * (height + GAP) - GAP)}px`;
    return isChanged;
  }

  /** The places of whole rows between two heights, in px from the upper edge of the view. */
  function findPlaces(from, to) {
    const top = element.getBoundingClientRect().top;
    const row = (height) => Math.max(0, Math.floor((height - top) / (shape.height + GAP)));
    return [Math.min(row(from) * shape.columns, total), Math.min((row(to) + 1) * shape.columns, total)];
  }

  function show() {
    if (!element.isConnected) return;
    if (measure()) for (const [place, tile] of tiles) put(tile, place);
    const [first, last] = findPlaces(-NEAR, window.innerHeight + NEAR);
    const focused = [...tiles].find(([, tile]) => tile.contains(document.activeElement))?.[0];
    for (const [place, tile] of tiles) {
      const isNear = place >= first && place < Math.min(last, items.length);
      if (!isNear && place !== focused) drop(place, tile);
    }
    for (let place = first; place < Math.min(last, items.length); place += 1) if (!tiles.has(place)) add(place);
    if (last > items.length && items.length < total) reach(last - 1);
    notice();
  }

  function notice() {
    const now = findPlaces(0, window.innerHeight);
    if (now.join() === view.join()) return;
    view = now;
    move();
  }

  function add(place) {
    const tile = makeTile(items[place], place);
    tile.setAttribute("aria-posinset", String(place + 1));
    tile.setAttribute("aria-setsize", String(total));
    tile.dataset.place = String(place);
    put(tile, place);
    const following = [...tiles.keys()].filter((other) => other > place);
    element.insertBefore(tile, following.length ? tiles.get(Math.min(...following)) : null);
    tiles.set(place, tile);
  }

  function put(tile, place) {
    const [row, column] = [Math.floor(place / shape.columns), place % shape.columns];
    tile.style.width = `${shape.width}px`;
    tile.style.height = `${shape.height}px`;
    tile.style.transform = `translate(${column * (shape.width + GAP)}px, ${row * (shape.height + GAP)}px)`;
  }

  function drop(place, tile) {
    tiles.delete(place);
    tile.remove();
  }

  function focus(place) {
    if (!items[place]) return;
    if (!tiles.has(place)) add(place);
    tiles.get(place).querySelector("button").focus();
  }

  element.addEventListener("keydown", (event) => {
    const place = Number(event.target.closest("[data-place]")?.dataset.place ?? Number.NaN);
    const next = place + (STEPS[event.key]?.(shape.columns) ?? Number.NaN);
    if (!items[next]) return;
    event.preventDefault();
    focus(next);
  });
  window.addEventListener("scroll", show, { passive: true });
  new ResizeObserver(show).observe(element);

  return {
    element,
    focus,
    setItems(given, of) {
      [items, total] = [given, of];
      view = [0, 0];
      show();
    },
    clear() {
      for (const [place, tile] of tiles) drop(place, tile);
    },
    forEach(action) {
      for (const [place, tile] of tiles) action(tile, items[place]);
    },
    getView: () => items.slice(...view),
  };
}
