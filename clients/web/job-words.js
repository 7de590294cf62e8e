/** Jobs in words: their kinds and states, what they read and write, times. */
import { make } from "./dom.js";

const STATES = {
  QUEUED: "Queued",
  RUNNING: "Running",
  SUCCEEDED: "Succeeded",
  PARTIALLY_SUCCEEDED: "Partly succeeded",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};
const KINDS = {
  mine: "Mine boxes",
  recut: "Cut boxes again",
  export: "Export",
  "train-classifier": "Train a classifier",
  pretrain: "Pre-train a detector",
  finetune: "Fine-tune a detector",
  "self-train": "Self-train a detector",
  evaluate: "Evaluate a detector",
  predict: "Predict boxes",
};
const READS = ["source", "label_set", "detector", "checkpoint", "classifier", "start", "images", "data"];
const WRITES = ["out", "labels"];
const READS_BY_KIND = {
  mine: ["source"],
  recut: ["label_set"],
  export: ["label_set"],
  "train-classifier": ["source", "start"],
  pretrain: ["label_set"],
  finetune: ["data", "checkpoint", "classifier"],
  "self-train": ["images", "data", "checkpoint"],
  evaluate: ["detector", "data"],
  predict: ["detector", "source"],
};
const WRITES_BY_KIND = { "self-train": WRITES };
const UNITS = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];
const WHEN = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** Kinds of jobs, in the order in which they are offered. */
export const JOB_KINDS = Object.keys(KINDS);

/** States of jobs, in the order in which a job may take them. */
export const JOB_STATES = Object.keys(STATES);

/**
 * The state of a job in words: also that it is being stopped, or that nothing is heard of it.
 * @param {{state: string, cancel_requested?: boolean, stalled?: boolean}} job
 * @returns {string}
 */
export function nameState(job) {
  if (job.cancel_requested) return "Stopping";
  if (job.stalled) return "Stalled";
  return STATES[job.state] ?? String(job.state);
}

/**
 * The state of a job as an element whose colour and shape are those of the state.
 * @param {{state: string, cancel_requested?: boolean, stalled?: boolean}} job
 * @returns {HTMLElement}
 */
export function makeState(job) {
  const name = STATES[job.state] ? job.state.toLowerCase() : "unknown";
  return make("span", { class: `state ${name}${job.stalled ? " stalled" : ""}` }, nameState(job));
}

/**
 * A kind of job in words.
 * @param {string} kind
 * @returns {string}
 */
export function nameKind(kind) {
  return KINDS[kind] ?? String(kind);
}

/**
 * A length of time by its two largest units, such as `2 h 5 min`.
 * @param {number} seconds
 * @returns {string}
 */
export function formatSeconds(seconds) {
  if (!(seconds >= 0)) return "unknown";
  if (seconds < 1) return "< 1 s";
  let left = Math.round(seconds);
  const parts = [];
  for (const [length, unit] of UNITS) {
    const number = Math.floor(left / length);
    left -= number * length;
    if (number) parts.push(`${number} ${unit}`);
    else if (parts.length) break;
  }
  return parts.slice(0, 2).join(" ");
}

/**
 * A moment in the time of this computer.
 * @param {string} iso as in answers, UTC
 * @returns {string}
 */
export function formatWhen(iso) {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? String(iso) : WHEN.format(moment);
}

/**
 * One line of what a job reads and writes.
 * @param {object} spec
 * @returns {string}
 */
export function describeSpec(spec) {
  const name = (fields) => fields.map((field) => namePlaces(spec[field])).filter(Boolean);
  const reads = name(READS_BY_KIND[spec.kind] ?? READS).join(" + ");
  const writes = name(WRITES_BY_KIND[spec.kind] ?? ["out"]).join(" + ");
  return [reads, writes].filter(Boolean).join(" → ");
}

function namePlaces(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) {
    const [first, ...others] = value;
    return others.length ? `${namePlaces(first)} and ${others.length} more` : namePlaces(first);
  }
  return typeof value === "object" ? `job ${String(value.job)}` : String(value);
}
