/** Whether the service is there, and what it can do. */
import { ask, ProblemError } from "./api.js";
import { find } from "./dom.js";
import { change, state } from "./state.js";

const PAUSE_MS = 3000; // between two looks at a service that does not answer

let timer = 0;

/** Connects the status line to the state; gives its view. */
export function makeService() {
  window.addEventListener("online", connect);
  return () => {
    const { status, model } = state.service;
    find("service").dataset.status = status;
    const texts = {
      starting: "Asking the service…",
      offline: "No answer from the service",
      refused: "A key is needed",
      loading: "The model is loading…",
    };
    find("service-text").textContent = model
      ? `${model.classifier} · ${model.engine} ${model.precision}`
      : (texts[status] ?? "");
  };
}

/** Asks what the service can do, again and again while it does not answer. */
export async function connect() {
  clearTimeout(timer);
  try {
    const [{ models }, limits] = await Promise.all([ask("/v1/models"), ask("/v1/limits")]);
    const [model] = models;
    const { recipes, default_recipe: defaultRecipe } = model;
    const recipe = state.recipe in recipes ? state.recipe : defaultRecipe;
    change({ service: { status: "ready", model, recipes, defaultRecipe, limits, problem: null }, recipe });
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const { problem } = error;
    const isRefused = problem.status === 401 || problem.status === 403;
    const status = isRefused ? "refused" : problem.status === 503 ? "loading" : "offline";
    change({ service: { ...state.service, status, model: null, problem } });
    if (!isRefused) timer = setTimeout(connect, problem.retry_after_s ? 1000 * problem.retry_after_s : PAUSE_MS);
  }
}
