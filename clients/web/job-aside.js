/** What stands beside the form of a new job: what it would do, the button that starts it, and its commands. */
import { getKey } from "./api.js";
import { describeDap, describeJobCurl } from "./command-lines.js";
import { makeCommand } from "./copied-commands.js";
import { make } from "./dom.js";

/**
 * The parts beside the form.
 * @param {object} jobs earlier ones, to find where they write
 * @returns {{element: HTMLElement, showPlan: Function, showSending: Function, showProblem: Function, showCommands: Function}}
 */
export function makeAside(jobs) {
  const plan = make("div", { class: "plan", "aria-live": "off" });
  const problem = make("div", { class: "problem" });
  const button = make("button", { type: "submit", class: "button primary start" }, "Start the job");
  const curl = makeCommand("curl");
  const dap = makeCommand("dap");
  const commands = make(
    "section",
    { class: "section commands" },
    make("h2", {}, "The same as a command"),
    curl.element,
    dap.element,
  );
  const starting = { isRefused: false, isSending: false };
  const showButton = () => {
    const { isRefused, isSending } = starting;
    button.disabled = isSending;
    button.textContent = isSending ? "Starting…" : isRefused ? "Start it all the same" : "Start the job";
    button.classList.toggle("primary", !isRefused);
  };
  let number = 0;
  return {
    element: make(
      "div",
      { class: "aside" },
      make(
        "section",
        { class: "card section", "aria-label": "Dry run" },
        make("h2", {}, "Dry run"),
        plan,
        problem,
        button,
      ),
      commands,
    ),
    showPlan: (parts, isRefused = false) => {
      plan.replaceChildren(...parts);
      starting.isRefused = isRefused;
      showButton();
    },
    showSending: (isOn) => {
      starting.isSending = isOn;
      showButton();
    },
    showProblem: (parts) => problem.replaceChildren(...parts),
    showCommands: async (kind, values) => {
      number += 1;
      const mine = number;
      const hasKey = Boolean(getKey());
      const { origin } = location;
      curl.show(describeJobCurl({ origin, body: JSON.stringify({ kind, ...values }), hasKey }));
      const found = await findPlaces(jobs, values);
      if (mine !== number) return;
      const notes = [
        hasKey && "It takes the key from DAP_API_KEY.",
        found.isWaiting && "Run it when the jobs it reads have succeeded.",
      ];
      dap.show(describeDap({ origin, kind, values: found.values }), notes.filter(Boolean).join(" "));
    },
  };
}

/** The values with places for earlier jobs, as dap takes them. */
async function findPlaces(jobs, values) {
  let isWaiting = false;
  const resolve = async (value) => {
    if (Array.isArray(value)) return Promise.all(value.map(resolve));
    if (typeof value?.job !== "string") return value;
    const found = await jobs.find(value).catch(() => null);
    isWaiting ||= !found?.hasEnded;
    return found?.place ?? `job:${value.job}`;
  };
  const entries = await Promise.all(Object.entries(values).map(async ([name, value]) => [name, await resolve(value)]));
  return { values: Object.fromEntries(entries), isWaiting };
}
