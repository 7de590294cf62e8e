/** Jobs whose outputs a new job can read: those that have succeeded, and those that have not ended. */
import { ask } from "./api.js";
import { formatWhen, nameKind, nameState } from "./job-words.js";

const OFFERED = ["SUCCEEDED", "PARTIALLY_SUCCEEDED", "RUNNING", "QUEUED"];
const MAX_OF_KIND = 25;

/**
 * @typedef {object} EarlierOutput
 * @property {import("./field-shapes.js").JobReference} reference
 * @property {string} place
 * @property {string} text that tells it from others
 * @property {boolean} hasEnded
 */

/**
 * Earlier jobs, each asked for once.
 * @returns {{list: (makers: string[]) => Promise<EarlierOutput[]>, find: (reference: object) => Promise<EarlierOutput>}}
 */
export function makeEarlierJobs() {
  const jobs = new Map();
  const kinds = new Map();
  const get = (id) => remember(jobs, id, () => ask(`/v1/jobs/${encodeURIComponent(id)}`));
  const listKind = (kind) =>
    remember(kinds, kind, () => ask(`/v1/jobs?${new URLSearchParams({ kind, limit: "200" })}`));

  async function listOutputs(maker) {
    const [kind, output] = maker.split(":");
    const { items } = await listKind(kind);
    const usable = items.filter((item) => OFFERED.includes(item.state)).slice(0, MAX_OF_KIND);
    const found = await Promise.all(usable.map((item) => get(item.id)));
    return found.map((job) => describe(job, output)).filter((one) => one.place);
  }

  return {
    list: async (makers) => {
      const found = (await Promise.all(makers.map(listOutputs))).flat();
      return found.sort((one, other) => (one.created < other.created ? 1 : -1));
    },
    find: async (reference) => describe(await get(reference.job), reference.output),
  };
}

/** What `make` gives, once for each key; what fails is asked for again. */
function remember(known, key, make) {
  if (!known.has(key))
    known.set(
      key,
      make().catch((error) => (known.delete(key), Promise.reject(error))),
    );
  return known.get(key);
}

function describe(job, output) {
  const place = job.spec[output ?? "out"] ?? "";
  const name = place.split("/").filter(Boolean).at(-1) ?? "";
  return {
    reference: output && output !== "out" ? { job: job.id, output } : { job: job.id },
    place,
    created: job.created,
    text: [name, nameKind(job.kind), nameState(job).toLowerCase(), formatWhen(job.created)].join(" · "),
    hasEnded: Boolean(job.ended),
  };
}
