/** What can be done with a job in the state it is in. */
import { ProblemError, ask } from "./api.js";
import { announce, make, onlyWhenChanged } from "./dom.js";
import { makeButton, makeCard } from "./problem-cards.js";

const VERBS = [
  {
    verb: "cancel",
    text: "Cancel",
    said: "It was asked to stop.",
    hint: "What it has committed stays, and it can be resumed.",
    isLegal: (job) => ["QUEUED", "RUNNING"].includes(job.state) && !job.cancel_requested,
  },
  {
    verb: "resume",
    text: "Resume",
    said: "It was asked to go on.",
    hint: "It goes on where it ended.",
    isLegal: (job) => ["FAILED", "CANCELLED"].includes(job.state),
  },
  {
    verb: "retry-failed",
    text: "Label failed images again",
    said: "A new job was submitted.",
    hint: "A new job, which adds to the same label set.",
    isLegal: (job) => job.kind === "mine" && job.state === "PARTIALLY_SUCCEEDED",
  },
];

/**
 * The buttons of a job.
 * @param {(job: object) => void} onChanged takes the job as a verb left it
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeVerbs(onChanged) {
  const element = make("div", { class: "section verbs" });
  const show = onlyWhenChanged(describeLegal, (job) => {
    const legal = VERBS.filter((one) => one.isLegal(job));
    element.hidden = !legal.length;
    element.replaceChildren(...legal.map((one) => makeVerb(one, job, onChanged)));
  });
  return { element, show };
}

function describeLegal(job) {
  const names = VERBS.filter((one) => one.isLegal(job)).map((one) => one.verb);
  return [job.attempt, job.state, ...names].join(" ");
}

function makeVerb({ verb, text, said, hint }, job, onChanged) {
  const problem = make("div");
  const run = async () => {
    button.disabled = true;
    problem.replaceChildren();
    try {
      const changed = await ask(`/v1/jobs/${encodeURIComponent(job.id)}/${verb}`, { method: "POST" });
      announce(said);
      if (changed.id !== job.id) location.assign(`/jobs/${encodeURIComponent(changed.id)}`);
      else onChanged(changed);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      problem.replaceChildren(makeCard(error.problem));
    } finally {
      button.disabled = false;
    }
  };
  const button = makeButton(text, run);
  return make("div", { class: "actions" }, button, make("span", { class: "hint quiet" }, hint), problem);
}
