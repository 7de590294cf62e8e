/** What a job would do, before it is started: the answer of `POST /v1/jobs:plan` in words. */
import { make } from "./dom.js";
import { formatSeconds } from "./job-words.js";
import { makeButton, makeCard } from "./problem-cards.js";
import { count, formatBytes } from "./words.js";

/**
 * What is still missing, as links to the fields.
 * @param {import("./job-field.js").JobField[]} fields
 * @returns {HTMLElement[]}
 */
export function describeMissing(fields) {
  const links = fields.map((field) =>
    make("li", {}, make("button", { type: "button", class: "link", click: () => field.focus() }, field.shape.title)),
  );
  const text = "Once these are right, this says what the job would do:";
  return [make("p", { class: "quiet" }, text), make("ul", { class: "missing" }, ...links)];
}

/**
 * That the service is asked.
 * @returns {HTMLElement[]}
 */
export function describeAsking() {
  return [make("p", { class: "quiet asking" }, "Asking what it would do…")];
}

/**
 * A problem that is not about a field.
 * @param {object} problem
 * @param {() => void} again
 * @returns {HTMLElement[]}
 */
export function describeProblem(problem, again) {
  return [makeCard(problem, problem.retryable ? [makeButton("Try again", again)] : [])];
}

/**
 * That fields were refused, with where they are.
 * @returns {HTMLElement[]}
 */
export function describeRefusedFields() {
  return [make("p", { class: "fault" }, "The service does not take this yet; what it says stands at the fields.")];
}

/**
 * A plan.
 * @param {{kind: string, estimate: object | null, warnings: string[], refusal: string | null}} plan
 * @returns {HTMLElement[]}
 */
export function describePlan({ estimate, warnings, refusal }) {
  const parts = [];
  if (refusal) {
    const text = make("p", { class: "text" }, sentence(refusal));
    parts.push(make("div", { class: "refusal" }, make("h3", {}, "It would be refused"), text));
  } else {
    parts.push(make("p", { class: "ready" }, "It can be started."));
  }
  if (estimate) parts.push(makeFacts(estimate));
  else if (!refusal)
    parts.push(
      make(
        "p",
        { class: "quiet hint" },
        "How long it takes depends on its images; there is no estimate for this kind.",
      ),
    );
  if (warnings.length) {
    const lines = warnings.map((warning) => make("li", { class: "text" }, sentence(warning)));
    parts.push(
      make("div", { class: "warnings" }, make("h3", {}, count(warnings.length, "warning")), make("ul", {}, ...lines)),
    );
  }
  return parts;
}

/**
 * A plan in one sentence, for those who hear it.
 * @param {{estimate: object | null, warnings: string[], refusal: string | null}} plan
 * @returns {string}
 */
export function summarise({ estimate, warnings, refusal }) {
  if (refusal) return `It would be refused: ${refusal}`;
  const facts = estimate
    ? listFacts(estimate)
        .slice(0, 2)
        .map(([name, value]) => `${name}: ${value}`)
    : [];
  return ["It can be started", ...facts, ...(warnings.length ? [count(warnings.length, "warning")] : [])].join(", ");
}

function makeFacts(estimate) {
  const facts = listFacts(estimate).flatMap(([name, value]) => [
    make("dt", {}, name),
    make("dd", { class: "text" }, value),
  ]);
  return make("dl", { class: "facts-list" }, ...facts);
}

function listFacts(estimate) {
  const known = "images" in estimate ? listMiningFacts(estimate) : listTrainingFacts(estimate);
  return known.filter(([, value]) => value !== "" && value !== undefined);
}

function listMiningFacts(estimate) {
  const { images, bytes, shards, labels, top_labels: top = [], unknown_labels: unknown, seconds } = estimate;
  const ranked = top.map(({ label, images: number }) => `${label} (${number.toLocaleString("en")})`);
  const nearest = (unknown?.first ?? []).map((one) => nameUnknown(one));
  return [
    ["Images", `${images.toLocaleString("en")}, ${formatBytes(bytes)}`],
    ["Takes about", seconds === undefined ? "" : `${formatSeconds(seconds)}, as ${estimate.time_source}`],
    ["Shards", shards.toLocaleString("en")],
    [
      "Labels",
      labels ? `${labels.toLocaleString("en")}: ${ranked.join(", ")}${labels > top.length ? ", …" : ""}` : "none",
    ],
    ["Without a label", showCount(estimate.without_label)],
    ["Unknown labels", nearest.join("; ")],
    ["Listed twice", showCount(estimate.duplicates)],
    ["Other files", showCount(estimate.skipped_files)],
  ];
}

function nameUnknown({ label, images, nearest }) {
  const near = [nearest ?? []].flat();
  return `${label} (${images.toLocaleString("en")})${near.length ? `, did you mean ${near.join(" or ")}?` : ""}`;
}

function listTrainingFacts({ steps, images_shown: shown, seconds, on, recipe, source }) {
  return [
    ["Takes about", seconds === undefined ? "" : formatSeconds(seconds)],
    ["Steps", steps?.toLocaleString("en")],
    ["Images shown", shown?.toLocaleString("en")],
    ["Recipe", recipe],
    ["Time is that of", [on, source].filter(Boolean).join("; ")],
  ];
}

function showCount(number) {
  return number ? number.toLocaleString("en") : "";
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
}
