/** The page of one job, live. */
import { ask } from "./api.js";
import { announce, find, make } from "./dom.js";
import { makeCurves } from "./job-curves.js";
import { makeFailures } from "./job-failures.js";
import { makeParts } from "./job-parts.js";
import { makeArtifacts, makeCommands, makeHappened, makeLogs, makeResult, makeWarnings } from "./job-records.js";
import { makeSamples } from "./job-samples.js";
import { followEvents } from "./job-stream.js";
import { makeSummary } from "./job-summary.js";
import { makeVerbs } from "./job-verbs.js";
import { nameState } from "./job-words.js";
import { poll } from "./polling.js";

const RUNNING_S = 3;
const ENDED_S = 15;
const SHOWN_MS = 300; // events come in floods; what they change is shown so often at most
const ENDED = ["SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED"];
const MODELS = ["train-classifier", "pretrain", "self-train", "finetune"];

const id = decodeURIComponent(location.pathname.split("/")[2]);
const verbs = makeVerbs(takeAndAsk);
const summary = makeSummary(verbs.element);
const [parts, curves, happened] = [makeParts(), makeCurves(), makeHappened()];
const [warnings, result, commands] = [makeWarnings(), makeResult(), makeCommands()];
const [failures, samples] = [makeFailures(id), makeSamples(id)];
const modelLink = make("a", { href: `/models/${encodeURIComponent(id)}` }, "Look at the model");
const model = make("p", { hidden: true }, modelLink);
let [job, stream, timer] = [null, null, 0];

find("content").append(make("p", { class: "coming" }, "Asking for the job …"));
const asking = poll(async () => {
  try {
    take(await ask(`/v1/jobs/${encodeURIComponent(id)}`));
  } catch (error) {
    if (!job) find("content").replaceChildren();
    throw error;
  }
  return ENDED.includes(job.state) ? ENDED_S : RUNNING_S;
});

function take(now) {
  if (!job) build();
  const isOther = job && job.state !== now.state;
  if (isOther) announce(`The job is now: ${nameState(now)}`);
  if (isOther && !ENDED.includes(now.state)) stream.restart();
  job = now;
  stream ??= followEvents(id, takeEvent);
  model.hidden = !(MODELS.includes(job.kind) && ["SUCCEEDED", "PARTIALLY_SUCCEEDED"].includes(job.state));
  for (const one of [summary, verbs, warnings, failures, samples, result, commands]) one.show(job);
  showSoon();
}

function takeAndAsk(changed) {
  take(changed);
  asking.now();
}

function build() {
  const [artifacts, logs] = [makeArtifacts(id), makeLogs(id)];
  find("content").replaceChildren(
    summary.element,
    result.element,
    model,
    warnings.element,
    parts.element,
    curves.element,
    failures.element,
    samples.element,
    make("div", { class: "section" }, happened.element, artifacts.element, logs.element, commands.element),
  );
}

function takeEvent(event) {
  if (event.kind === "shard") parts.take(event);
  if (event.kind === "state" && ENDED.includes(event.state)) asking.now();
  curves.take(event);
  happened.take(event);
  showSoon();
}

function showSoon() {
  timer ||= setTimeout(() => {
    timer = 0;
    parts.show(job.progress);
    curves.show(job);
  }, SHOWN_MS);
}
