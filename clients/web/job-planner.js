/** Asks what a job would do, a moment after its last change. */
import { ask, ProblemError } from "./api.js";

const PAUSE_MS = 500;

/**
 * A planner that asks for one plan at a time: a newer request ends an older one.
 * @param {object} hooks
 * @param {() => string | null} hooks.getBody the request, null while there is none to send
 * @param {() => void} hooks.onAsking
 * @param {(plan: object) => void} hooks.onPlan
 * @param {(problem: object) => void} hooks.onProblem
 * @returns {{plan: (pause?: number) => void}}
 */
export function makePlanner({ getBody, onAsking, onPlan, onProblem }) {
  let asking = new AbortController();
  let pause = 0;

  async function askNow(signal) {
    const body = getBody();
    if (body === null) return;
    onAsking();
    try {
      const answer = await ask("/v1/jobs:plan", { ...makePost(body), signal });
      if (!signal.aborted) onPlan(answer.jobs[0]);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ProblemError)) throw error;
      onProblem(error.problem);
    }
  }

  return {
    plan: (wait = PAUSE_MS) => {
      clearTimeout(pause);
      asking.abort();
      asking = new AbortController();
      const { signal } = asking;
      pause = setTimeout(() => askNow(signal), wait);
    },
  };
}

/**
 * A request that sends JSON.
 * @param {string} body
 * @param {Record<string, string>} [headers]
 * @returns {RequestInit}
 */
export function makePost(body, headers = {}) {
  return { method: "POST", body, headers: { "Content-Type": "application/json", ...headers } };
}
