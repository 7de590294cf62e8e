/** Pages about what one job has made: read, shown, or said to be missing. */
import { ask, ProblemError } from "./api.js";
import { announce, find, make } from "./dom.js";
import { showNotice } from "./problem-cards.js";

/** The job that the address names. */
export const job = decodeURIComponent(location.pathname.split("/").pop());

/**
 * Reads what the job has made and hands it to `show`; until then, and where there is none, says so.
 * @param {object} output
 * @param {string} output.noun such as `label set`
 * @param {string} output.path to ask
 * @param {string} output.all the page of all of them
 * @param {(answer: object) => void} output.show
 */
export async function openOutput({ noun, path, all, show }) {
  const content = find("content");
  showNotice(null);
  content.replaceChildren(make("p", { class: "coming" }, `Reading the ${noun}…`));
  let answer;
  try {
    answer = await ask(path);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const { problem } = error;
    announce(problem.title);
    if (problem.status === 404) return content.replaceChildren(makeMissing(problem, noun, all));
    content.replaceChildren();
    return showNotice(problem, () => openOutput({ noun, path, all, show }));
  }
  return show(answer);
}

/**
 * Names the page after what it shows.
 * @param {string} noun
 * @param {string} name
 */
export function nameOutput(noun, name) {
  find("heading").textContent = `${noun[0].toUpperCase()}${noun.slice(1)} ${name}`;
  document.title = `${name} · ${noun} · DAP`;
}

function makeMissing(problem, noun, all) {
  const ways = [
    make("a", { class: "button", href: `/jobs/${encodeURIComponent(job)}` }, "See the job"),
    make("a", { class: "button", href: all }, `All ${noun}s`),
  ];
  return make(
    "div",
    { class: "vacant" },
    make("h2", {}, `No ${noun}`),
    make("p", { class: "text quiet" }, problem.detail),
    make("div", { class: "actions" }, ...ways),
  );
}
