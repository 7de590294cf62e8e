/** One row of the list of jobs. */
import { make } from "./dom.js";
import { describeSpec, formatSeconds, formatWhen, makeState, nameKind } from "./job-words.js";
import { count } from "./words.js";

/**
 * A row of what the list knows; `fillRow` adds what the job itself says.
 * @param {import("./job-list.js").JobLine} line
 * @returns {HTMLElement}
 */
export function makeJobRow(line) {
  const link = make("a", { href: `/jobs/${encodeURIComponent(line.id)}`, class: "text" }, nameKind(line.kind));
  const places = make("small", { class: "quiet text" }, line.id);
  return make(
    "div",
    { role: "row", class: "row" },
    make("span", { role: "rowheader", class: "name" }, link, places),
    make("span", { role: "cell", class: "stand" }, makeState(line)),
    make("span", { role: "cell", class: "doing quiet" }),
    make("span", { role: "cell", class: "when quiet" }, makeTime(line.created)),
  );
}

/**
 * Shows in a row where its job stands.
 * @param {HTMLElement} row
 * @param {object} job
 */
export function fillRow(row, job) {
  row.querySelector(".stand").replaceChildren(makeState(job));
  const places = row.querySelector("small");
  places.textContent = describeSpec(job.spec) || job.id;
  places.title = places.textContent;
  row.querySelector(".doing").replaceChildren(...describeDoing(job));
}

/**
 * A bar of how far a job is.
 * @param {object} progress
 * @returns {HTMLElement}
 */
export function makeBar({ done, total }) {
  const share = total ? Math.min(100, (100 * done) / total) : 0;
  const fill = make("span");
  fill.style.width = `${share}%`;
  const values = total ? { "aria-valuenow": Math.floor(share), "aria-valuemin": 0, "aria-valuemax": 100 } : {};
  const name = total ? "bar" : "bar unknown";
  return make("span", { class: name, role: "progressbar", "aria-label": "Progress", ...values }, fill);
}

/**
 * Rate and time left of a running job in words.
 * @param {object} progress
 * @returns {string[]}
 */
export function describePace({ per_s: rate, eta_s: left }) {
  const words = [];
  if (rate) words.push(`${rate.toLocaleString("en", { maximumFractionDigits: rate < 10 ? 1 : 0 })} images/s`);
  if (left !== null && left !== undefined) words.push(`${formatSeconds(left)} left`);
  return words;
}

function describeDoing(job) {
  if (job.state === "RUNNING") return describeRunning(job);
  if (job.state === "QUEUED") return [make("span", { class: "text clipped" }, job.reason ?? "")];
  const { done, failed } = job.progress;
  const words = [];
  if (job.message) words.push(job.message);
  else if (done) words.push(count(done, "image"));
  if (failed && !job.message) words.push(`${failed.toLocaleString("en")} failed`);
  return [make("span", { class: "text clipped", title: words.join(" · ") }, words.join(" · "))];
}

function describeRunning({ progress, stage }) {
  const { done, total } = progress;
  const share = total ? `${Math.floor((100 * done) / total)} %` : "";
  const words = [share, ...describePace(progress)].filter(Boolean);
  if (words.length < 2 && stage) words.push(stage);
  return [makeBar(progress), make("span", { class: "text clipped number" }, words.join(" · "))];
}

function makeTime(iso) {
  return make("time", { datetime: iso }, formatWhen(iso));
}
