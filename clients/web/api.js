/** Requests to the service, and its problems (RFC 9457) as errors. */

const KEY = "dap-api-key";

/** An answer that is a problem, or no answer at all (`status` 0). */
export class ProblemError extends Error {
  /** @param {object} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

/**
 * The API key of this tab, or an empty string.
 * @returns {string}
 */
export function getKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

/**
 * Keeps the API key until the tab is closed.
 * @param {string} key
 */
export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/**
 * The JSON of an answer.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>} rejected with ProblemError, or AbortError where the signal says so
 */
export async function ask(path, init = {}) {
  const response = await askRaw(path, init);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ProblemError({
      status: response.status,
      title: "The answer cannot be read",
      detail: "It ended early or is no JSON.",
    });
  }
}

/**
 * An answer that is no problem, with its body still to be read. The key goes with the request.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} rejected with ProblemError, or AbortError where the signal says so
 */
export async function askRaw(path, init = {}) {
  const headers = new Headers(init.headers);
  if (!headers.has("Accept")) headers.set("Accept", "application/json");
  if (getKey()) headers.set("Authorization", `Bearer ${getKey()}`);
  let response;
  try {
    response = await fetch(path, { ...init, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ProblemError(describeSilence());
  }
  if (!response.ok) throw new ProblemError(await readProblem(response));
  return response;
}

/**
 * The boxes and maps of one image.
 * @param {File} file
 * @param {{labels: string[], recipe: string}} params no labels stand for `auto`
 * @param {AbortSignal} signal
 * @returns {Promise<object>}
 */
export function askBoxes(file, { labels, recipe }, signal) {
  const body = new FormData();
  const params = { labels: labels.length ? labels : "auto", cams: true, ...(recipe && { recipe }) };
  body.append("params", JSON.stringify(params));
  body.append("images", file, file.name);
  return ask("/v1/boxes", { method: "POST", body, signal });
}

/**
 * The classes whose name or WordNet id holds some words.
 * @param {string} words
 * @param {{limit?: number, signal?: AbortSignal}} [options]
 * @returns {Promise<{total: number, classes: import("./state.js").ImageClass[]}>}
 */
export function askClasses(words, { limit = 20, signal } = {}) {
  return ask(`/v1/classes?${new URLSearchParams({ search: words, limit: String(limit) })}`, { signal });
}

function describeSilence() {
  const detail = navigator.onLine ? "It may have stopped, or be about to start." : "This computer is offline.";
  return { status: 0, title: "No answer from the service", detail, retryable: true };
}

async function readProblem(response) {
  const waiting = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const fallback = {
    status: response.status,
    title: `The service answered ${response.status} ${response.statusText}`.trim(),
    detail: "It gave no reason.",
    request_id: response.headers.get("X-Request-Id") ?? undefined,
  };
  const problem = await response.json().catch(() => null);
  const told = problem && typeof problem === "object" && typeof problem.title === "string" ? problem : {};
  return { ...fallback, ...told, retry_after_s: told.retry_after_s ?? (waiting >= 0 ? waiting : undefined) };
}
