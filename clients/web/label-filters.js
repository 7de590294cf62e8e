/** Which images of a label set are shown, and in which order; the address remembers it. */
import { make } from "./dom.js";

const ORDERS = { stored: "As stored", worst: "Worst first" };

/**
 * The filter that the address says.
 * @returns {import("./label-images.js").Filter}
 */
export function readFilter() {
  const query = new URLSearchParams(location.search);
  const wanted = query.get("class") ?? "";
  return {
    class: /^\d+$/.test(wanted) ? wanted : "",
    order: query.get("order") === "worst" ? "worst" : "stored",
    only: query.get("only") === "no-box" ? "no-box" : "all",
  };
}

/**
 * The fields of the filter.
 * @param {object} summary of `GET /v1/jobs/{job}/label-set`
 * @param {import("./label-images.js").Filter} filter
 * @param {(filter: import("./label-images.js").Filter) => void} change
 * @returns {HTMLElement}
 */
export function makeFilters(summary, filter, change) {
  const classes = make("select", { id: "class", class: "text-field" }, ...listClasses(summary));
  classes.value = filter.class;
  const order = make(
    "select",
    { id: "order", class: "text-field" },
    ...Object.entries(ORDERS).map(([value, text]) => make("option", { value }, text)),
  );
  order.value = filter.order;
  const boxless = make("input", { type: "checkbox", id: "no-box" });
  boxless.checked = filter.only === "no-box";
  const read = () => {
    const chosen = { class: classes.value, order: order.value, only: boxless.checked ? "no-box" : "all" };
    writeAddress(chosen);
    change(chosen);
  };
  return make(
    "form",
    { class: "filters", "aria-label": "Which images", change: read, submit: (event) => event.preventDefault() },
    make("div", { class: "field" }, make("label", { for: "class" }, "Class"), classes),
    make("div", { class: "field" }, make("label", { for: "order" }, "Order"), order),
    make("label", { class: "radio", for: "no-box" }, boxless, "Only without a box"),
  );
}

function listClasses({ classes, sample }) {
  const all = make("option", { value: "" }, `All classes (${sample.images.toLocaleString("en")})`);
  const options = classes.map(({ index, name, wnid, images }) =>
    make("option", { value: index }, `${name || wnid} (${images.toLocaleString("en")})`),
  );
  return [all, ...options];
}

function writeAddress(filter) {
  const query = new URLSearchParams();
  if (filter.class) query.set("class", filter.class);
  if (filter.order !== "stored") query.set("order", filter.order);
  if (filter.only !== "all") query.set("only", filter.only);
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
}
