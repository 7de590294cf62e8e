/** A form that starts one job: where it writes, a button, and what became of it. */
import { ask, ProblemError } from "./api.js";
import { announce, make } from "./dom.js";
import { makeCard } from "./problem-cards.js";

let count = 0;

/**
 * The form.
 * @param {object} parts
 * @param {string} parts.text of the button
 * @param {string} parts.place suggested
 * @param {(out: string) => object} parts.makeSpec
 * @param {HTMLElement[]} [parts.fields] above the place
 * @returns {{element: HTMLElement, suggest: (place: string) => void}} a suggestion counts until the place is edited
 */
export function makeJobStarter({ text, place, makeSpec, fields = [] }) {
  count += 1;
  const id = `out-${count}`;
  let isEdited = false;
  const input = make("input", {
    id,
    class: "text-field",
    type: "text",
    required: true,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    input: () => (isEdited = true),
  });
  input.value = place;
  const button = make("button", { type: "submit", class: "button" }, text);
  const outcome = make("div", { class: "outcome" });
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    outcome.replaceChildren(make("p", { class: "quiet" }, "Starting it…"));
    outcome.replaceChildren(await start(makeSpec(input.value.trim())));
    button.disabled = false;
  };
  const element = make(
    "form",
    { class: "starter", submit: send },
    ...fields,
    make("div", { class: "field" }, make("label", { for: id }, "Goes to"), input),
    make("div", { class: "actions" }, button),
    outcome,
  );
  return { element, suggest: (suggested) => isEdited || (input.value = suggested) };
}

/** Starts a job; gives the link to it, or the problem. */
async function start(spec) {
  try {
    const headers = { "Content-Type": "application/json" };
    const job = await ask("/v1/jobs", { method: "POST", headers, body: JSON.stringify(spec) });
    announce("The job has been submitted");
    const link = make("a", { href: `/jobs/${encodeURIComponent(job.id)}` }, "See how it goes");
    return make("p", { class: "started" }, "Submitted. ", link);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    announce(error.problem.title);
    return makeCard(error.problem);
  }
}
