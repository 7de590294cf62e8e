/** Asking again every few seconds, only while the page is seen; problems are shown until one answer is good. */
import { ProblemError } from "./api.js";
import { showNotice } from "./problem-cards.js";

const LONGEST_S = 30;
const HOPELESS = [401, 403, 404, 422]; // asking again by itself changes nothing

/**
 * Calls `action` again and again: some seconds after it is done, and at once when the page is seen again.
 * @param {() => Promise<number | null>} action gives the seconds until the next time; null ends it
 * @param {{isQuiet?: boolean}} [options] quiet: problems are waited for, and not shown
 * @returns {{now: () => void, stop: () => void}}
 */
export function poll(action, { isQuiet = false } = {}) {
  let [timer, waited, shown] = [0, 0, null];
  let [isRunning, isWanted, isStopped] = [false, false, false];
  const schedule = (seconds) => {
    clearTimeout(timer);
    if (!isStopped && seconds !== null) timer = setTimeout(run, 1000 * seconds);
  };
  const run = async () => {
    clearTimeout(timer);
    isWanted = isRunning;
    if (isStopped || isRunning || document.hidden) return;
    isRunning = true;
    let next = null;
    try {
      next = await action();
      waited = 0;
      if (shown !== null) show(null);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      waited = Math.min(Math.max(2 * waited, 2), LONGEST_S);
      next = !isQuiet && HOPELESS.includes(error.problem.status) ? null : waited;
      if (!isQuiet) show(error.problem);
    } finally {
      isRunning = false;
      schedule(isWanted ? 0 : next);
    }
  };
  const show = (problem) => {
    const key = problem && `${problem.status} ${problem.title}`;
    if (key === shown) return; // what somebody types into the notice stays
    shown = key;
    showNotice(problem, again);
  };
  const again = () => {
    shown = ""; // a problem that comes again is shown anew
    run();
  };
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
  };
  document.addEventListener("visibilitychange", run);
  window.addEventListener("online", run);
  run();
  return { now: run, stop };
}
