/** Where a model comes from: what it was made from, and what that was made from. */
import { ask, ProblemError } from "./api.js";
import { make } from "./dom.js";
import { nameKind } from "./job-words.js";
import { nameEnd } from "./place-names.js";

const DEEPEST = 6;
const MOST = 3; // sources that are named
const READS = {
  mine: [
    ["data", "source"],
    ["classifier", "classifier"],
  ],
  predict: [
    ["data", "source"],
    ["checkpoint", "detector"],
  ],
  "self-train": [["checkpoint", "checkpoint"]],
  recut: [["labels", "label_set"]],
};

/**
 * @typedef {{title: string, name: string, href: string | null, parents: Link[], isHere?: boolean}} Link
 */

/**
 * The chain that leads to a model.
 * @param {object} model of `GET /v1/checkpoints/{job}`
 * @returns {Promise<Link>}
 */
export async function findLineage(model) {
  return { ...(await describeModel(model, 0)), isHere: true };
}

/**
 * The chain as a list of lists: each link below what it was made from.
 * @param {Link} link
 * @returns {HTMLElement}
 */
export function makeLineage(link) {
  const sources = link.parents.map(makeLineage);
  const name =
    link.href && !link.isHere
      ? make("a", { class: "text", href: link.href }, link.name)
      : make("b", { class: "text" }, link.name);
  return make(
    "div",
    { class: "link-tree" },
    ...(sources.length
      ? [
          make("div", { class: "link-sources" }, ...sources),
          make("span", { class: "link-arrow", "aria-hidden": "true" }, "→"),
        ]
      : []),
    make(
      "div",
      { class: link.isHere ? "link-node here" : "link-node" },
      make("span", { class: "quiet" }, link.title),
      name,
    ),
  );
}

async function describeModel(model, depth) {
  return {
    title: nameKind(model.kind),
    name: nameEnd(model.place) || model.job,
    href: `/models/${encodeURIComponent(model.job)}`,
    parents: await Promise.all(model.parents.map((parent) => describeParent(parent, depth + 1))),
  };
}

async function describeParent({ role, place, job }, depth) {
  const plain = { title: nameRole(role), name: nameEnd(place), href: null, parents: [] };
  if (!job || depth > DEEPEST) return plain;
  try {
    if (role === "labels") return await describeLabelSet(place, job, depth);
    if (role === "data") return { ...plain, href: `/jobs/${encodeURIComponent(job)}` };
    return await describeModel(await ask(`/v1/checkpoints/${encodeURIComponent(job)}`), depth);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { ...plain, href: `/jobs/${encodeURIComponent(job)}` };
  }
}

/** A label set, with what its job was asked to use; jobs that it waited for may have made that. */
async function describeLabelSet(place, job, depth) {
  const { kind, spec, after } = await ask(`/v1/jobs/${encodeURIComponent(job)}`);
  const makers = await Promise.all(after.map((id) => ask(`/v1/jobs/${encodeURIComponent(id)}`)));
  const given = (READS[kind] ?? []).flatMap(([role, field]) =>
    [spec[field]]
      .flat()
      .slice(0, MOST)
      .map((one) => ({ role, place: String(one) })),
  );
  const parents = given.map((one) => ({ ...one, job: makers.find((maker) => writes(maker, one.place))?.id ?? null }));
  return {
    title: "Label set",
    name: nameEnd(place),
    href: `/label-sets/${encodeURIComponent(job)}`,
    parents: await Promise.all(parents.map((parent) => describeParent(parent, depth + 1))),
  };
}

function writes({ spec }, place) {
  return place === spec.out || place === spec.labels;
}

function nameRole(role) {
  return { labels: "Label set", checkpoint: "Detector", classifier: "Classifier", data: "Images" }[role] ?? role;
}
