/** The list of jobs: filters in the address, rows in view alone, states by themselves. */
import { ask } from "./api.js";
import { announce, find, make } from "./dom.js";
import { JobList } from "./job-list.js";
import { fillRow, makeJobRow } from "./job-rows.js";
import { JOB_KINDS, JOB_STATES, nameKind, nameState } from "./job-words.js";
import { poll } from "./polling.js";
import { makeRowWindow } from "./row-window.js";
import { count } from "./words.js";

const LIST_S = 5;
const DETAILS_S = 3;
const AT_ONCE = 4; // requests for details
const MAX_DETAILS = 300;
const RESTING_MS = 150; // what flies by is not asked for
const NOT_ENDED = ["QUEUED", "RUNNING"];

const details = new Map(); // id -> {job, state, attempt}, the latest last
let list = new JobList(readFilter());
let resting = 0;

const amount = make("p", { class: "quiet", id: "amount" });
const stage = make("section", { class: "section", "aria-busy": "true" });
const table = makeRowWindow({
  label: "Jobs",
  heads: ["Job", "State", "Progress", "Submitted"],
  makeRow: (line) => dressRow(makeJobRow(line), line.id),
  onMove: followView,
});
const kinds = makeSelect("kind", "Kind", "all kinds", JOB_KINDS, nameKind);
const states = makeSelect("state", "State", "all states", JOB_STATES, (state) => nameState({ state }));

find("content").append(
  make(
    "div",
    { class: "toolbar" },
    kinds.label,
    states.label,
    amount,
    make("a", { class: "button primary", href: "/jobs/new" }, "New job"),
  ),
  stage,
);
stage.append(make("p", { class: "coming" }, "Asking for the jobs …"));
showFilter();
window.addEventListener("popstate", () => applyFilter());
const listing = poll(refreshList);
const detailing = poll(refreshDetails, { isQuiet: true });

function readFilter() {
  const query = new URLSearchParams(location.search);
  const choose = (name, known) => (known.includes(query.get(name)) ? query.get(name) : "");
  return { kind: choose("kind", JOB_KINDS), state: choose("state", JOB_STATES) };
}

function makeSelect(name, text, all, values, describe) {
  const options = [["", all], ...values.map((value) => [value, describe(value)])];
  const select = make("select", { class: "text-field", name, change: changeFilter });
  select.append(...options.map(([value, words]) => make("option", { value }, words)));
  return { select, label: make("label", { class: "filter" }, make("span", {}, text), select) };
}

function changeFilter() {
  const query = new URLSearchParams();
  for (const { select } of [kinds, states]) if (select.value) query.set(select.name, select.value);
  history.pushState(null, "", `/jobs${query.size ? `?${query}` : ""}`);
  applyFilter();
}

function applyFilter() {
  list = new JobList(readFilter());
  showFilter();
  stage.setAttribute("aria-busy", "true");
  window.scrollTo(0, 0);
  listing.now();
}

function showFilter() {
  kinds.select.value = list.filter.kind;
  states.select.value = list.filter.state;
}

async function refreshList() {
  const asked = list;
  await asked.refresh();
  const [first] = table.getView();
  if (asked === list && first > 0) await asked.refreshAround(first);
  if (asked !== list) return 0;
  showList();
  return LIST_S;
}

function showList() {
  stage.setAttribute("aria-busy", "false");
  const { items, isWhole } = list;
  amount.textContent = isWhole ? count(items.length, "job") : `the newest ${items.length.toLocaleString("en")} jobs`;
  if (!items.length) return showVacant();
  if (!table.element.isConnected) {
    stage.replaceChildren(table.element);
    announce(amount.textContent);
  }
  table.setItems(items, isWhole);
  for (const line of items.slice(...table.getView())) refillRow(line);
  loadNearEnd();
}

function showVacant() {
  const isFiltered = list.filter.kind || list.filter.state;
  if (stage.querySelector(".vacant")?.dataset.of === location.search) return;
  const text = isFiltered
    ? "No job is of this kind and in this state."
    : "Jobs label many images, train detectors and measure them, and go on when nobody looks.";
  const vacant = make(
    "div",
    { class: "vacant", "data-of": location.search },
    make("h2", {}, isFiltered ? "Nothing here" : "No jobs yet"),
    make("p", { class: "quiet" }, text),
    isFiltered
      ? make("a", { class: "button", href: "/jobs" }, "Show all jobs")
      : make("a", { class: "button primary", href: "/jobs/new" }, "Submit the first one"),
  );
  stage.replaceChildren(vacant);
}

function followView() {
  loadNearEnd();
  clearTimeout(resting);
  resting = setTimeout(() => detailing.now(), RESTING_MS);
}

/** Older jobs are asked for two screens before the end of those that are known. */
async function loadNearEnd() {
  const [first, last] = table.getView();
  if (list.items.length - last > 2 * (last - first) || list.isAsking || list.cursor === null) return;
  const asked = list;
  try {
    await asked.loadMore();
  } catch {
    return; // the list is asked for again anyway, and tells of a problem
  }
  if (asked === list) showList();
}

async function refreshDetails() {
  const [first, last] = table.getView();
  const wanted = table.element.isConnected ? list.items.slice(first, last).filter(isWanted) : [];
  const askNext = async () => {
    for (let line = wanted.shift(); line; line = wanted.shift()) await refreshOne(line);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, askNext));
  return DETAILS_S;
}

function isWanted(line) {
  const known = details.get(line.id);
  const isSame = known && known.state === line.state && known.attempt === line.attempt;
  return !isSame || NOT_ENDED.includes(known.state);
}

async function refreshOne(line) {
  const job = await ask(`/v1/jobs/${encodeURIComponent(line.id)}`);
  details.delete(job.id);
  details.set(job.id, job);
  if (details.size > MAX_DETAILS) details.delete(details.keys().next().value);
  list.note(job);
  dressRow(table.getRow(job.id), job.id);
}

function refillRow({ id, state, attempt }) {
  const known = details.get(id);
  if (known && known.state === state && known.attempt === attempt) return;
  details.delete(id);
  detailing.now();
}

function dressRow(row, id) {
  const known = details.get(id);
  if (row && known) fillRow(row, known);
  return row;
}
