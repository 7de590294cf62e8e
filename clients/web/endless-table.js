/** A table that grows as one comes to its end. */
import { ProblemError } from "./api.js";
import { announce, make } from "./dom.js";
import { showNotice } from "./problem-cards.js";

/**
 * Makes the table and fills it.
 * @template T
 * @param {object} parts
 * @param {string} parts.caption
 * @param {[string, string][]} parts.heads names of columns and their style classes
 * @param {(item: T) => HTMLElement} parts.makeRow
 * @param {() => Promise<{items: T[], isLast: boolean}>} parts.next
 * @param {HTMLElement} parts.vacant what is shown instead of no rows
 * @returns {HTMLElement}
 */
export function makeEndlessTable({ caption, heads, makeRow, next, vacant }) {
  const body = make("tbody");
  const table = make(
    "table",
    {},
    make("caption", { class: "visually-hidden" }, caption),
    make("thead", {}, make("tr", {}, ...heads.map(([text, kind]) => make("th", { scope: "col", class: kind }, text)))),
    body,
  );
  const frame = make("div", { class: "scroll", hidden: true }, table);
  const coming = make("p", { class: "coming" }, "Reading…");
  const more = make("button", { type: "button", class: "button more", hidden: true, click: () => load() }, "Show more");
  vacant.hidden = true;
  const observer = new IntersectionObserver(([entry]) => entry.isIntersecting && load(), { rootMargin: "600px" });
  let isLoading = false;

  async function load() {
    if (isLoading) return;
    isLoading = true;
    observer.unobserve(more);
    showNotice(null);
    coming.hidden = body.rows.length > 0;
    try {
      const { items, isLast } = await next();
      body.append(...items.map(makeRow));
      more.hidden = isLast;
      frame.hidden = !body.rows.length;
      vacant.hidden = body.rows.length > 0 || !isLast;
      announce(body.rows.length ? `${body.rows.length} rows` : "There are none");
      if (!isLast) observer.observe(more);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      announce(error.problem.title);
      showNotice(error.problem, load);
    }
    coming.hidden = true;
    isLoading = false;
  }

  load();
  return make("div", { class: "section" }, coming, frame, vacant, more);
}

/**
 * One cell; on a narrow page its name stands before it.
 * @param {string} name
 * @param {string} kind style classes
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function makeCell(name, kind, ...children) {
  return make("td", { class: kind, "data-name": name }, ...children);
}
