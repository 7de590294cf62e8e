/** Problems in words: what is wrong, what to do, and when it is tried again. */
import { find, make, onlyWhenChanged } from "./dom.js";
import { makeButton, makeCard, makeKeyForm, showNotice } from "./problem-cards.js";
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
  else if (problem.status === 401) actions.push(makeKeyForm(reconnect));
  else if (problem.retryable) actions.push(makeButton("Try again", runImages));
  return place.replaceChildren(makeCard(problem, actions, image.file.name));
}

function setServiceProblem(problem) {
  showNotice(problem, reconnect);
}

/** Asks the service again, and for the images that it left without an answer. */
async function reconnect() {
  await connect();
  if (!state.service.problem && state.images.some((image) => [0, 401].includes(image.problem?.status))) runImages();
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

function describeKey(problem, retryAt) {
  return problem ? JSON.stringify([problem, retryAt]) : "";
}
