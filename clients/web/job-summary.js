/** What stands at the top of the page of a job: where it stands, how far it is, and when what happened. */
import { find, make, onlyWhenChanged } from "./dom.js";
import { describePace, makeBar } from "./job-rows.js";
import { describeSpec, formatSeconds, formatWhen, makeState, nameKind, nameState } from "./job-words.js";

const NUM_AFTER = 20;
const STALLED = "Nothing was heard of it for half a minute. It is taken up again by itself.";

/**
 * A card of where a job stands.
 * @param {HTMLElement} verbs the place of the buttons
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeSummary(verbs) {
  const body = make("div", { class: "section" });
  const element = make("section", { class: "card section", "aria-label": "Where it stands" }, body, verbs);
  const show = onlyWhenChanged(JSON.stringify, (job) => {
    const name = nameKind(job.kind);
    find("heading").textContent = name;
    document.title = `${name} · ${nameState(job)} · DAP`;
    body.replaceChildren(
      make(
        "div",
        { class: "headline" },
        make("span", { class: "big" }, makeState(job)),
        make("code", { class: "text quiet" }, job.id),
      ),
      make("p", { class: "text" }, describeSpec(job.spec)),
      ...describeProgress(job),
      ...describeMessage(job),
      makeTimes(job),
    );
  });
  return { element, show };
}

function describeProgress(job) {
  const { progress, state, stage } = job;
  if (state === "QUEUED") return [make("p", { class: "notice text" }, `It waits: ${job.reason}`)];
  const words = [describeCounts(progress), ...(state === "RUNNING" ? describePace(progress) : [])].filter(Boolean);
  const line = make("p", { class: "number wrapping" }, words.join(" · "));
  if (state !== "RUNNING") return words.length ? [line] : [];
  return [makeBar(progress), ...(stage ? [make("p", { class: "text" }, `It is at: ${stage}`)] : []), line];
}

function describeCounts({ total, done, failed, parts, parts_done: partsDone, part_name: part }) {
  if (!total && !done) return "";
  const show = (value) => value.toLocaleString("en");
  const words = [`${show(done)} of ${show(total)} images`];
  if (parts > 1) words.push(`${show(partsDone)} of ${show(parts)} ${part}s`);
  if (failed) words.push(`${show(failed)} failed`);
  return words.join(" · ");
}

function describeMessage({ error_type: type, message, state, stalled }) {
  const lines = [];
  if (stalled) lines.push(make("p", { class: "notice" }, STALLED));
  if (message) {
    const tone = state === "FAILED" ? "notice bad" : "notice";
    lines.push(make("p", { class: `${tone} text` }, ...(type ? [make("code", {}, type), ": "] : []), message));
  }
  return lines;
}

function makeTimes(job) {
  const facts = [["Submitted", makeTime(job.created)]];
  if (job.started) facts.push(["Started", makeTime(job.started)]);
  if (job.ended) facts.push(["Ended", makeTime(job.ended)]);
  const took = (Date.parse(job.ended ?? job.updated) - Date.parse(job.started)) / 1000;
  if (took >= 0) facts.push([job.ended ? "Took" : "Has run for", formatSeconds(took)]);
  if (job.attempt > 1) facts.push(["Attempt", String(job.attempt)]);
  if (job.after.length) facts.push(["Reads what these make", makeAfter(job.after)]);
  return makeFacts(facts);
}

/**
 * A list of names and values.
 * @param {[string, Node | string][]} facts
 * @returns {HTMLElement}
 */
export function makeFacts(facts) {
  const list = make("dl", { class: "facts-list" });
  for (const [name, value] of facts) {
    list.append(make("dt", { class: "text" }, name), make("dd", { class: "text" }, value));
  }
  return list;
}

function makeAfter(jobs) {
  const shown = jobs.slice(0, NUM_AFTER);
  const links = shown.map((job) => make("li", {}, make("a", { href: `/jobs/${encodeURIComponent(job)}` }, job)));
  if (jobs.length > shown.length) links.push(make("li", { class: "quiet" }, `and ${jobs.length - shown.length} more`));
  return make("ul", {}, ...links);
}

function makeTime(iso) {
  return make("time", { datetime: iso }, formatWhen(iso));
}
