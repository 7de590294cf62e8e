/** The events of a job as they come. They are read by fetch, since an EventSource cannot send the key. */
import { askRaw } from "./api.js";

const AGAIN_S = 1;
const LONGEST_S = 30;

/**
 * Hands over the events of a job, each once and in order, until nothing more can come. The connection is let go while
 * the page is hidden, since a browser has few of them for each service.
 * @param {string} job
 * @param {(event: object) => void} onEvent
 * @returns {{restart: () => void}} `restart` listens again to a job that had ended
 */
export function followEvents(job, onEvent) {
  let [last, timer, waited] = ["", 0, 0];
  let [controller, hasEnded] = [null, false];
  const listen = async () => {
    clearTimeout(timer);
    if (controller || hasEnded || document.hidden) return;
    controller = new AbortController();
    try {
      hasEnded = await readOnce(controller.signal);
      waited = 0;
    } catch {
      waited = Math.min(Math.max(2 * waited, AGAIN_S), LONGEST_S); // asking for the job tells what is wrong
    } finally {
      controller = null;
    }
    if (!hasEnded) timer = setTimeout(listen, 1000 * (waited || AGAIN_S) * (0.75 + Math.random() / 2));
  };
  const readOnce = async (signal) => {
    const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
    const response = await askRaw(`/v1/jobs/${encodeURIComponent(job)}/events`, { headers, signal });
    if (response.status === 204) return true;
    await readBlocks(response.body, (block) => {
      const event = parseBlock(block);
      if (!event) return;
      last = event.id;
      onEvent(event);
    });
    return false;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? controller?.abort() : listen()));
  window.addEventListener("online", listen);
  listen();
  const restart = () => {
    hasEnded = false;
    listen();
  };
  return { restart };
}

/** Calls `take` with each block that a blank line ends. */
async function readBlocks(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const blocks = (rest + read.value).split("\n\n");
    rest = blocks.pop();
    blocks.forEach(take);
  }
}

function parseBlock(block) {
  const line = block.split("\n").find((one) => one.startsWith("data: "));
  return line ? JSON.parse(line.slice("data: ".length)) : null;
}
