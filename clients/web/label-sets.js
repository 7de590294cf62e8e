/** The page of all label sets: the jobs that make one. */
import { ask } from "./api.js";
import { find, make } from "./dom.js";
import { makeCell, makeEndlessTable } from "./endless-table.js";
import { formatWhen, makeState, nameKind } from "./job-words.js";
import { makeMergedList } from "./merged-list.js";
import { nameEnd } from "./place-names.js";

const KINDS = ["mine", "recut", "predict", "self-train"];
const PAGE = 25;
const HEADS = [
  ["Label set", ""],
  ["Made by", ""],
  ["State", ""],
  ["Images", "amount"],
  ["Boxes", "amount"],
  ["Recipe", ""],
  ["Submitted", ""],
];

const filling = new IntersectionObserver(fillRows, { rootMargin: "300px" });
const jobs = new WeakMap(); // row -> job of the list

find("content").replaceChildren(
  makeEndlessTable({
    caption: "Label sets, newest first",
    heads: HEADS,
    makeRow,
    next: makeMergedList(KINDS.map(askKind), (a, b) => (a.created < b.created ? 1 : -1), PAGE),
    vacant: make(
      "div",
      { class: "vacant" },
      make("h2", {}, "No label sets yet"),
      make("p", { class: "quiet" }, "A job that mines boxes from labelled images makes one."),
      make("a", { class: "button primary", href: "/jobs/new?kind=mine" }, "Mine boxes"),
    ),
  }),
);

function askKind(kind) {
  return (cursor) => {
    const query = new URLSearchParams({ kind, limit: String(PAGE), ...(cursor && { cursor }) });
    return ask(`/v1/jobs?${query}`);
  };
}

function makeRow(job) {
  const link = make("a", { class: "text", href: `/label-sets/${encodeURIComponent(job.id)}` }, job.id);
  const row = make(
    "tr",
    {},
    make("th", { scope: "row", class: "name-cell" }, link, make("span", { class: "mono text" })),
    makeCell("", "", nameKind(job.kind)),
    makeCell("", "", makeState(job)),
    makeCell("images", "amount images"),
    makeCell("boxes", "amount boxes"),
    makeCell("recipe", "text wrap recipe"),
    makeCell("", "number", formatWhen(job.created)),
  );
  jobs.set(row, job);
  filling.observe(row);
  return row;
}

function fillRows(entries) {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    filling.unobserve(target);
    ask(`/v1/jobs/${encodeURIComponent(jobs.get(target).id)}`).then(
      (job) => fillRow(target, job),
      () => {}, // the row stays as the list has it
    );
  }
}

function fillRow(row, { spec, result }) {
  const place = String(spec.kind === "self-train" ? spec.labels : spec.out);
  const name = nameEnd(place);
  if (name) row.querySelector("a").textContent = name;
  row.querySelector(".mono").textContent = place;
  const found = result ?? {};
  const show = (cell, value) => (row.querySelector(cell).textContent = value ?? "");
  show(".images", formatNumber(found.found_images ?? found.ok ?? found.images));
  show(".boxes", formatNumber(found.found_boxes ?? found.boxes));
  show(".recipe", nameRecipe(spec.kind === "self-train" ? "predicted" : (found.recipe ?? spec.recipe)));
}

function formatNumber(value) {
  return Number.isFinite(value) ? value.toLocaleString("en") : "";
}

function nameRecipe(recipe) {
  return recipe && typeof recipe === "object" ? String(recipe.name ?? "") : (recipe ?? "");
}
