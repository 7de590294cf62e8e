/** A long table of rows of one height of which only those in view, and a few around, are in the document. */
import { make } from "./dom.js";

const AROUND = 8; // rows above and below the view

/**
 * A table that scrolls with the page.
 * @template T
 * @param {object} options
 * @param {string} options.label what the table is called
 * @param {string[]} options.heads
 * @param {(item: T) => HTMLElement} options.makeRow an element with the role `row`
 * @param {() => void} options.onMove called when other rows come into view
 * @returns {{element: HTMLElement, setItems: (items: (T & {id: string})[], isWhole: boolean) => void,
 *   getView: () => [number, number], getRow: (id: string) => HTMLElement | undefined}}
 */
export function makeRowWindow({ label, heads, makeRow, onMove }) {
  const head = make("div", { role: "row", class: "row head", "aria-rowindex": 1 });
  head.append(...heads.map((text) => make("span", { role: "columnheader" }, text)));
  const body = make("div", { role: "rowgroup", class: "rows" });
  const element = make("div", { role: "table", class: "job-table", "aria-label": label }, head, body);
  const rows = new Map(); // id -> element
  let [items, places, view] = [[], new Map(), [0, 0]];

  const measureRow = () => Number.parseFloat(getComputedStyle(body).getPropertyValue("--row-height")) || 64;
  const findView = (height) => {
    const top = -body.getBoundingClientRect().top;
    const first = Math.max(0, Math.min(Math.floor(top / height), items.length - 1));
    return [first, Math.min(items.length, Math.max(0, Math.ceil((top + window.innerHeight) / height)))];
  };
  const show = () => {
    const height = measureRow();
    body.style.height = `${items.length * height}px`;
    const [first, last] = findView(height);
    const wanted = chooseRows(first, last);
    for (const [id, row] of rows) if (!wanted.has(id)) drop(id, row);
    let before = null;
    for (const id of wanted) before = put(id, before, height);
    if (first === view[0] && last === view[1]) return;
    view = [first, last];
    onMove();
  };
  const chooseRows = (first, last) => {
    const focused = document.activeElement?.closest?.("[role=row]")?.dataset.id;
    const from = Math.max(0, first - AROUND);
    const wanted = items.slice(from, last + AROUND).map((one) => one.id);
    if (!places.has(focused) || wanted.includes(focused)) return new Set(wanted);
    return new Set(places.get(focused) < from ? [focused, ...wanted] : [...wanted, focused]); // it keeps the focus
  };
  const drop = (id, row) => {
    row.remove();
    rows.delete(id);
  };
  const put = (id, before, height) => {
    const place = places.get(id);
    let row = rows.get(id);
    if (!row) {
      row = makeRow(items[place]);
      row.dataset.id = id;
      rows.set(id, row);
    }
    const next = before ? before.nextSibling : body.firstChild;
    if (row !== next) body.insertBefore(row, next);
    row.style.top = `${place * height}px`;
    row.setAttribute("aria-rowindex", String(place + 2));
    return row;
  };
  const setItems = (given, isWhole) => {
    const anchor = window.scrollY > 0 ? items[view[0]] : undefined;
    const moved = anchor && given.findIndex((one) => one.id === anchor.id) - view[0];
    items = given;
    places = new Map(items.map((one, place) => [one.id, place]));
    element.setAttribute("aria-rowcount", String(isWhole ? items.length + 1 : -1));
    const isAway = body.getBoundingClientRect().top < 0;
    body.style.height = `${items.length * measureRow()}px`;
    if (isAway && moved > 0) window.scrollBy(0, moved * measureRow()); // what is looked at stays in place
    show();
  };
  const step = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const place = places.get(event.target.closest("[role=row]")?.dataset.id);
    const next = items[place + steps[event.key]];
    if (!next) return;
    event.preventDefault();
    rows.get(next.id)?.querySelector("a")?.focus();
  };
  body.addEventListener("keydown", step);
  window.addEventListener("scroll", show, { passive: true });
  window.addEventListener("resize", show);
  return { element, setItems, getView: () => view, getRow: (id) => rows.get(id) };
}
