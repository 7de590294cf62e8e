/** A new job as commands: for curl, and for dap. */
import { quote } from "./curl.js";

const ARGUMENT = {
  mine: "source",
  "train-classifier": "source",
  pretrain: "label_set",
  finetune: "checkpoint",
  "self-train": "checkpoint",
  evaluate: "detector",
  predict: "source",
  recut: "label_set",
  export: "label_set",
};
const OPTIONS = {
  short_sides: "--scales",
  label_map: "--map",
  class_map: "--map",
  changes: "--set",
  labels: "--label",
};
const OPTIONS_OF_KIND = { predict: { images: "--storage" }, "self-train": { labels: "--labels" } };
const WITHOUT = {
  "train-classifier": ["labels"],
  evaluate: ["shots", "shot_seed"],
  "self-train": ["shots", "shot_seed"],
};
const GROWTH = { "new-images": [["--extend"]], "failed-images": [["--retry-failed"]] };
const JOINED = ["short_sides", "thresholds", "keep", "years"];

/**
 * A curl command that starts the job.
 * @param {{origin: string, body: string, hasKey: boolean}} request the key is taken from DAP_KEY
 * @returns {string}
 */
export function describeJobCurl({ origin, body, hasKey }) {
  const parts = ["curl -H 'Content-Type: application/json'"];
  if (hasKey) parts.push('-H "Authorization: Bearer $DAP_KEY"');
  return [...parts, `-d ${quote(body)}`, quote(`${origin}/v1/jobs`)].join(" \\\n  ");
}

/**
 * A dap command that has the service run the job; where an option is missing for a field, by the record of the job.
 * @param {{origin: string, kind: string, values: Record<string, unknown>}} job its places as texts
 * @returns {string}
 */
export function describeDap({ origin, kind, values }) {
  const service = ["--service", quote(origin)];
  const words = listWords(kind, values);
  if (words) return fold([[`dap ${kind}`, ...words.main], ...words.options, service]);
  const record = quote(JSON.stringify({ kind, ...values }, null, 2));
  return `printf '%s' ${record} > job.json\ndap run job.json ${service.join(" ")}`;
}

/** Arguments, and options each as words that stay on a line; null where something cannot be said so. */
function listWords(kind, values) {
  if (!(kind in ARGUMENT)) return null;
  const names = Object.keys(values);
  if (names.some((name) => (WITHOUT[kind] ?? []).includes(name))) return null;
  const main = [values[ARGUMENT[kind]] ?? []].flat();
  if (main.some((one) => one.startsWith("-"))) return null;
  const options = names.filter((name) => name !== ARGUMENT[kind]).map((name) => listOption(kind, name, values[name]));
  if (options.includes(null)) return null;
  return { main: main.map(word), options: options.flat() };
}

function listOption(kind, name, value) {
  const option = OPTIONS_OF_KIND[kind]?.[name] ?? OPTIONS[name] ?? `--${name.replaceAll("_", "-")}`;
  if (name === "growth") return GROWTH[value] ?? null;
  if (value === true) return [[option]];
  if (value === false) return [[`--no-${name}`]];
  if (JOINED.includes(name)) return value.some((one) => /,|^\s|\s$/.test(one)) ? null : [say(option, value.join(","))];
  if (Array.isArray(value)) return value.map((one) => say(option, one));
  if (typeof value === "object") return listEntries(option, name, value);
  return [say(option, value)];
}

/** `--set` ends a name at the first `=`, `--map` at the last one. */
function listEntries(option, name, map) {
  const isOdd = ([key, value]) => (name === "changes" ? key : value).includes("=") || value !== value.trim();
  const entries = Object.entries(map);
  return entries.some(isOdd) ? null : entries.map(([key, value]) => say(option, `${key}=${value}`));
}

function say(option, value) {
  const text = String(value);
  return text.startsWith("-") ? [`${option}=${word(text)}`] : [option, word(text)];
}

/** A word for a POSIX shell, quoted where that is needed. */
function word(text) {
  return /^[\w@%+:,./-]+$/.test(text) ? text : quote(text);
}

function fold(words) {
  return words.map((one) => [one].flat().join(" ")).join(" \\\n  ");
}
