/** Problems in words: what is wrong, what to do, and when it is tried again. */
import { getKey, setKey } from "./api.js";
import { find, make, onlyWhenChanged } from "./dom.js";
import { runImages, stop } from "./run.js";
import { connect } from "./service.js";
import { getSelected, state } from "./state.js";

/** Connects the problems to the state; gives their view. */
export function makeProblems() {
  const showImageProblem = onlyWhenChanged((image) => describeKey(image?.problem, image?.retryAt), setImageProblem);
  const showServiceProblem = onlyWhenChanged((problem) => describeKey(problem), setServiceProblem);
  setInterval(countDown, 250);
  return () => {
    const image = getSelected();
    const { problem } = state.service;
    showServiceProblem(problem);
    showImageProblem(image?.problem && image.problem.status === problem?.status ? undefined : image);
  };
}

function setImageProblem(image) {
  const place = find("problem");
  if (!image?.problem) return place.replaceChildren();
  const { problem, retryAt } = image;
  const actions = [];
  if (retryAt) actions.push(makeCountdown(retryAt), makeButton("Stop", stop));
  else if (problem.status === 401) actions.push(makeKeyForm());
  else if (problem.retryable) actions.push(makeButton("Try again", runImages));
  return place.replaceChildren(makeCard(problem, actions, image.file.name));
}

function setServiceProblem(problem) {
  const place = find("notices");
  if (!problem) return place.replaceChildren();
  const action = problem.status === 401 ? makeKeyForm() : makeButton("Try again", reconnect);
  return place.replaceChildren(makeCard(problem, [action]));
}

/** Asks the service again, and for the images that it left without an answer. */
async function reconnect() {
  await connect();
  if (!state.service.problem && state.images.some((image) => [0, 401].includes(image.problem?.status))) runImages();
}

function makeCard(problem, actions, fileName = "") {
  const lines = (Array.isArray(problem.errors) ? problem.errors : []).map((error) =>
    make("li", {}, make("code", { class: "text" }, String(error.pointer ?? "")), " ", String(error.detail ?? "")),
  );
  const known = /^\/problems\/[a-z-]+$/.test(problem.type ?? "");
  const facts = [];
  if (known) facts.push(make("a", { href: problem.type, target: "_blank", rel: "noreferrer" }, "What this means"));
  if (problem.request_id) facts.push(make("span", { class: "text" }, `request ${problem.request_id}`));
  const isMild = problem.status === 401 || problem.status === 503; // nothing is wrong: a key is due, or patience
  return make(
    "div",
    { class: isMild ? "problem-card mild" : "problem-card", role: "group", "aria-label": "Problem" },
    make("h2", { class: "text" }, String(problem.title)),
    make("p", { class: "text" }, ...(fileName ? [make("b", {}, fileName), ": "] : []), String(problem.detail ?? "")),
    ...(lines.length ? [make("ul", {}, ...lines)] : []),
    ...(actions.length ? [make("div", { class: "actions" }, ...actions)] : []),
    ...(facts.length ? [make("p", { class: "facts quiet" }, ...facts)] : []),
  );
}

function makeButton(text, action) {
  return make("button", { type: "button", class: "button", click: () => action() }, text);
}

function makeCountdown(retryAt) {
  const element = make("span", { class: "countdown number", "data-at": retryAt });
  setSeconds(element);
  return element;
}

function countDown() {
  document.querySelectorAll(".countdown").forEach(setSeconds);
}

function setSeconds(element) {
  const seconds = Math.max(0, Math.ceil((Number(element.dataset.at) - Date.now()) / 1000));
  const text = seconds ? `Trying again in ${seconds} s` : "Trying again…";
  if (element.textContent !== text) element.textContent = text;
}

function makeKeyForm() {
  const input = make("input", {
    type: "password",
    id: "api-key",
    class: "text-field",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "dap_…",
  });
  input.value = getKey();
  const send = (event) => {
    event.preventDefault();
    setKey(input.value.trim());
    reconnect();
  };
  return make(
    "form",
    { class: "key", submit: send },
    make("label", { for: "api-key" }, "API key"),
    input,
    make("button", { type: "submit", class: "button primary" }, "Use this key"),
    make("p", { class: "hint quiet" }, "It is kept until this tab is closed."),
  );
}

function describeKey(problem, retryAt) {
  return problem ? JSON.stringify([problem, retryAt]) : "";
}
