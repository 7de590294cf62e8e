/** Runs images: one request after the other, the chosen image first. */
import { askBoxes, ProblemError } from "./api.js";
import { announce, find } from "./dom.js";
import { connect } from "./service.js";
import { decodeCams } from "./shown.js";
import { change, changeImage, describeRequest, getSelected, needsRun, state } from "./state.js";
import { count, formatBytes } from "./words.js";

const MAX_ATTEMPTS = 20; // while the service says that waiting helps

let stopping = new AbortController();

/** Connects the buttons to the state; gives their view. */
export function makeRun() {
  find("request").addEventListener("submit", (event) => {
    event.preventDefault();
    runImages();
  });
  find("stop").addEventListener("click", stop);
  return () => {
    const waiting = state.images.filter(needsRun).length;
    const run = find("run");
    run.disabled = state.running || !state.images.length;
    run.textContent = describeRun(waiting);
    run.classList.toggle("primary", waiting > 0 || !state.images.length);
    find("stop").hidden = !state.running;
  };
}

/** Runs all images without an answer to their present labels; if all have one, the chosen image again. */
export async function runImages() {
  if (state.running || !state.images.length) return;
  const selected = getSelected();
  const waiting = state.images.filter(needsRun);
  const ordered = waiting.length ? waiting.sort((a, b) => Number(b === selected) - Number(a === selected)) : [selected];
  stopping = new AbortController();
  change({ running: true });
  for (const image of ordered) {
    if (stopping.signal.aborted) break;
    if (state.images.includes(image)) await runImage(image, stopping.signal);
  }
  change({ running: false });
}

/** Ends what is under way. */
export function stop() {
  stopping.abort();
}

async function runImage(image, signal) {
  const before = image.item ? "done" : "waiting";
  try {
    checkSize(image.file);
    const ranWith = describeRequest(image);
    const answer = await askPatiently(image, signal);
    const [item] = answer.items;
    if (item.problem) throw new ProblemError(item.problem);
    changeImage(image, { status: "done", answer, item, cams: decodeCams(item), ranWith, problem: null, retryAt: null });
  } catch (error) {
    if (error.name === "AbortError") return changeImage(image, { status: before, problem: null, retryAt: null });
    if (!(error instanceof ProblemError)) throw error;
    const { problem } = error;
    if ([0, 401, 403].includes(problem.status)) stop(); // the next image would fare no better
    if (problem.status === 0) connect();
    changeImage(image, { status: "failed", problem, item: null, answer: null, cams: [], retryAt: null });
    announce(`${image.file.name}: ${problem.title}`);
  }
}

/** The answer for one image; where the service is busy, it is asked again when it says so. */
async function askPatiently(image, signal) {
  const params = { labels: image.labels.map((label) => label.wnid), recipe: state.recipe };
  for (let attempt = 1; ; attempt += 1) {
    changeImage(image, { status: "running", problem: null, retryAt: null });
    announce(`Looking at ${image.file.name}`);
    try {
      return await askBoxes(image.file, params, signal);
    } catch (error) {
      const seconds = error.problem?.retry_after_s;
      if (seconds === undefined || attempt >= MAX_ATTEMPTS) throw error;
      announce(`${error.problem.title}. Trying again in ${count(seconds, "second")}`);
      changeImage(image, { problem: error.problem, retryAt: Date.now() + 1000 * seconds });
      await wait(1000 * seconds, signal);
    }
  }
}

function wait(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    const abort = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
  });
}

/** Refuses here what the service would refuse after the whole upload. */
function checkSize(file) {
  const limit = state.service.limits?.max_image_bytes;
  if (!limit || file.size <= limit) return;
  const detail = `It has ${formatBytes(file.size)}; the service takes up to ${formatBytes(limit)}.`;
  throw new ProblemError({ status: 413, title: "The file is too large", detail });
}

function describeRun(waiting) {
  if (state.running) return "Finding boxes…";
  if (waiting > 1) return `Find boxes in ${waiting} images`;
  return state.images.length && !waiting ? "Find boxes again" : "Find boxes";
}
