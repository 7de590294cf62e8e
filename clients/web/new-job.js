/** The page `/jobs/new`: a form made from the schema of the chosen kind, its dry run, and its start. */
import { ask, ProblemError } from "./api.js";
import { announce, find, make } from "./dom.js";
import { makeEarlierJobs } from "./earlier-jobs.js";
import { readShapes } from "./field-shapes.js";
import { makeAside } from "./job-aside.js";
import { chooseKey, keepDrafts, readDrafts } from "./job-drafts.js";
import {
  describeAsking,
  describeMissing,
  describePlan,
  describeProblem,
  describeRefusedFields,
  summarise,
} from "./job-plan.js";
import { makePlanner, makePost } from "./job-planner.js";
import { copyJob, readQuery } from "./job-prefill.js";
import { makeKindChooser, readSchemas } from "./kind-chooser.js";
import { makePreview } from "./mined-preview.js";
import { showNotice } from "./problem-cards.js";
import { makeSpecForm } from "./schema-form.js";
import { KINDS } from "./spec-fields.js";

const drafts = readDrafts();
const jobs = makeEarlierJobs();
const aside = makeAside(jobs);
const planner = makePlanner({
  getBody,
  onAsking: () => aside.showPlan(describeAsking()),
  onPlan: showPlan,
  onProblem: showFaults,
});
const place = make("div", { class: "place-of-form" });
let schemas = new Map();
let chooser = null;
let form = null;
let preview = null;
let isSending = false;

async function start() {
  find("content").replaceChildren(make("p", { class: "coming" }, "Loading…"));
  try {
    const [document] = await Promise.all([ask("/openapi.json"), ask("/v1/jobs?limit=1")]); // without a key nothing here works
    schemas = readSchemas(document, KINDS);
    showNotice(null);
    layOut();
    await fillIn();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    if (!chooser) find("content").replaceChildren();
    showNotice(error.problem, start);
  }
}

function layOut() {
  chooser = makeKindChooser(schemas, (kind) => chooseKind(kind));
  const element = make(
    "form",
    { novalidate: true, "aria-labelledby": "heading", submit: send },
    chooser.element,
    place,
  );
  find("content").replaceChildren(element);
}

/** Shows what the address asks for, else what was filled in before. */
async function fillIn() {
  const query = new URLSearchParams(location.search);
  const from = query.get("from");
  if (from) {
    const { kind, values } = await copyJob(from, listShapes);
    return chooseKind(kind, values);
  }
  const kind = query.get("kind") ?? drafts.kind;
  const values = readQuery(query, listShapes(kind));
  return schemas.has(kind) ? chooseKind(kind, Object.keys(values).length ? values : undefined) : chooser.show("");
}

function listShapes(kind) {
  return readShapes(schemas.get(kind) ?? {});
}

function chooseKind(kind, values = drafts.values[kind] ?? {}) {
  drafts.kind = kind;
  form = makeSpecForm(kind, schemas.get(kind), { jobs, onChange: change });
  form.write(values);
  chooser.show(kind);
  preview = kind === "mine" ? makePreview({ getBody, blame: (problem) => form.blame(problem.errors ?? []) }) : null;
  const main = make("div", { class: "main" }, form.element, ...(preview ? [preview.element] : []));
  place.replaceChildren(make("div", { class: "columns" }, main, aside.element));
  history.replaceState(null, "", `/jobs/new?${new URLSearchParams({ kind })}`);
  aside.showProblem([]);
  change();
}

function change() {
  const values = form.read();
  drafts.values[drafts.kind] = values;
  keepDrafts(drafts);
  aside.showCommands(drafts.kind, values);
  preview?.note();
  const faulty = form.listFaulty();
  if (faulty.length) aside.showPlan(describeMissing(faulty));
  planner.plan();
}

function getBody() {
  return form.listFaulty().length ? null : JSON.stringify({ kind: drafts.kind, ...form.read() });
}

function showPlan(plan) {
  aside.showPlan(describePlan(plan), Boolean(plan.refusal));
  announce(summarise(plan));
}

function showFaults(problem) {
  if (problem.status === 401) return showNotice(problem, start);
  const others = form.blame(problem.errors ?? []);
  const isToldAtFields = problem.errors?.length && !others.length;
  const parts = isToldAtFields
    ? describeRefusedFields()
    : describeProblem({ ...problem, errors: others }, () => planner.plan(0));
  aside.showPlan(parts);
  return announce(String(problem.detail ?? problem.title));
}

async function send(event) {
  event.preventDefault();
  if (isSending || !form) return;
  const [faulty] = form.touch();
  if (faulty) return faulty.focus();
  setSending(true);
  aside.showProblem([]);
  try {
    const body = getBody();
    const { id } = await ask("/v1/jobs", makePost(body, { "Idempotency-Key": chooseKey(drafts, body) }));
    delete drafts.values[drafts.kind];
    keepDrafts({ ...drafts, kind: "", sent: null });
    location.assign(`/jobs/${encodeURIComponent(id)}`);
  } catch (error) {
    setSending(false);
    if (!(error instanceof ProblemError)) throw error;
    showFaults(error.problem);
  }
}

function setSending(isOn) {
  isSending = isOn;
  aside.showSending(isOn);
}

addEventListener("pageshow", (event) => event.persisted && setSending(false));
await start();
