/** What a job says of itself in full: result, warnings, what happened, commands, artifacts, logs. */
import { ProblemError, ask, askRaw, getKey } from "./api.js";
import { quote } from "./curl.js";
import { make, onlyWhenChanged } from "./dom.js";
import { makeFacts } from "./job-summary.js";
import { formatWhen, nameState } from "./job-words.js";
import { makeButton, makeCard } from "./problem-cards.js";
import { count, formatBytes } from "./words.js";

const MAX_FACTS = 80;
const MAX_WARNINGS = 50;
const MAX_HAPPENED = 50;
const PAGE = 50;

/**
 * What came of a job, as facts.
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeResult() {
  const body = make("div");
  const element = make("section", { class: "card section", hidden: true }, make("h2", {}, "Result"), body);
  const show = onlyWhenChanged(
    ({ result }) => JSON.stringify(result),
    ({ result }) => {
      const facts = flatten(result ?? {}).slice(0, MAX_FACTS);
      element.hidden = !facts.length;
      body.replaceChildren(makeFacts(facts));
    },
  );
  return { element, show };
}

/**
 * The warnings of a job.
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeWarnings() {
  const list = make("ul", { class: "section" });
  const element = make("section", { class: "section", hidden: true }, make("h2", {}, "Warnings"), list);
  const show = onlyWhenChanged(
    ({ warnings }) => JSON.stringify(warnings),
    ({ warnings }) => {
      element.hidden = !warnings.length;
      const shown = warnings.slice(-MAX_WARNINGS);
      const lines = shown.map((text) => make("li", { class: "notice text" }, text));
      const numLeft = warnings.length - shown.length;
      if (numLeft) lines.unshift(make("li", { class: "quiet" }, count(numLeft, "earlier warning")));
      list.replaceChildren(...lines);
    },
  );
  return { element, show };
}

/**
 * The latest of what happened in a job, the newest first.
 * @returns {{element: HTMLElement, take: (event: object) => void}}
 */
export function makeHappened() {
  const list = make("ol", { class: "happened" });
  const element = make("details", { class: "card", hidden: true }, make("summary", {}, "What happened"), list);
  const take = (event) => {
    const text = describeEvent(event);
    if (!text) return;
    element.hidden = false;
    const when = make("time", { class: "quiet number", datetime: event.time }, formatWhen(event.time));
    list.prepend(make("li", {}, when, " ", make("span", { class: "text" }, text)));
    if (list.childElementCount > MAX_HAPPENED) list.lastElementChild.remove();
  };
  return { element, take };
}

/**
 * The record of a job and the commands that do the same.
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeCommands() {
  const body = make("div", { class: "section" });
  const element = make("details", { class: "card" }, make("summary", {}, "Record and commands"), body);
  const show = onlyWhenChanged(
    ({ id, spec }) => JSON.stringify([id, spec]),
    ({ id, spec }) => {
      const { origin } = location;
      const path = `${origin}/v1/jobs`;
      const key = getKey() ? ['-H "Authorization: Bearer $DAP_KEY"'] : [];
      const data = `-d ${quote(JSON.stringify(spec))}`;
      const submit = ["curl -H 'Content-Type: application/json'", ...key, data, quote(path)];
      const look = ["curl", ...key, quote(`${path}/${encodeURIComponent(id)}`)];
      body.replaceChildren(
        makeText("Submit the same from the command line", `dap run job.json --service ${quote(origin)}`),
        makeText("job.json", JSON.stringify(spec, null, 2)),
        makeText("The same with curl", submit.join(" \\\n  ")),
        makeText("Watch it", `dap jobs watch ${quote(id)} --service ${quote(origin)}`),
        makeText("Ask for it", look.join(" ")),
      );
    },
  );
  return { element, show };
}

/**
 * The objects that a job has written, asked for when opened.
 * @param {string} job
 * @returns {{element: HTMLElement}}
 */
export function makeArtifacts(job) {
  const load = async (cursor) => {
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    const { items, next_cursor: next } = await ask(`/v1/jobs/${encodeURIComponent(job)}/artifacts?${query}`);
    const rows = items.map(makeObject);
    const heads = [make("th", { scope: "col" }, "Object"), make("th", { scope: "col", class: "amount" }, "Size")];
    const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    if (!rows.length) return [make("p", { class: "quiet" }, "Nothing is written yet.")];
    return [make("div", { class: "scroll" }, table), ...(next ? [makeButton("More objects", () => open(next))] : [])];
  };
  const { element, open } = makeOnDemand("Artifacts", load);
  return { element };
}

/**
 * What a job printed, asked for when opened.
 * @param {string} job
 * @returns {{element: HTMLElement}}
 */
export function makeLogs(job) {
  const load = async () => {
    const init = { headers: { Accept: "text/plain" } };
    const text = await (await askRaw(`/v1/jobs/${encodeURIComponent(job)}/logs`, init)).text();
    const shown = make("pre", { class: "log", tabindex: "0", "aria-label": "Log" }, text);
    requestAnimationFrame(() => (shown.scrollTop = shown.scrollHeight));
    const nothing = make("p", { class: "quiet" }, "It printed nothing yet.");
    return [text.trim() ? shown : nothing, makeButton("Refresh", open)];
  };
  const { element, open } = makeOnDemand("Logs", load);
  return { element };
}

function makeObject({ place, size }) {
  const name = make("th", { scope: "row", class: "text" }, place);
  return make("tr", {}, name, make("td", { class: "amount number" }, formatBytes(size)));
}

/** Details whose content `load` gives whenever they are opened. */
function makeOnDemand(title, load) {
  const body = make("div", { class: "section" });
  const open = async (cursor) => {
    try {
      body.replaceChildren(...(await load(cursor)));
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      body.replaceChildren(makeCard(error.problem, [makeButton("Try again", () => open(cursor))]));
    }
  };
  const toggle = () => {
    if (!element.open) return body.replaceChildren();
    body.replaceChildren(make("p", { class: "coming" }, "Asking for them …"));
    return open();
  };
  const element = make("details", { class: "card", toggle }, make("summary", {}, title), body);
  return { element, open };
}

function makeText(title, text) {
  return make("div", { class: "field" }, make("h3", {}, title), make("pre", { class: "text", tabindex: "0" }, text));
}

function describeEvent({ kind, text, state, message, step, num_steps: numSteps }) {
  if (kind === "stage") return text;
  if (kind === "warning") return `Warning: ${text}`;
  if (kind === "state") return [nameState({ state }), message].filter(Boolean).join(": ");
  if (kind === "training") return `Training begins at step ${step} of ${numSteps}`;
  return "";
}

/** Names and values, also of what lies within; of long lists how many there are. */
function flatten(values, prefix = "") {
  return Object.entries(values).flatMap(([name, value]) => {
    const title = prefix + name.replaceAll("_", " ");
    if (value === null || value === "") return [];
    if (Array.isArray(value)) return value.length ? [[title, describeList(value)]] : [];
    return typeof value === "object" ? flatten(value, `${title} · `) : [[title, describeValue(value)]];
  });
}

function describeList(values) {
  const isShort = values.length <= 8 && values.every((one) => typeof one !== "object");
  return isShort ? values.map(describeValue).join(", ") : count(values.length, "entry", "entries");
}

function describeValue(value) {
  if (typeof value !== "number") return String(value);
  return value.toLocaleString("en", { maximumFractionDigits: Number.isInteger(value) ? 0 : 4 });
}
