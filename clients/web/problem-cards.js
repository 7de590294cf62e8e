/** A problem as a card: what is wrong, what to do, what to name when asking for help. */
import { getKey, setKey } from "./api.js";
import { find, make } from "./dom.js";

/**
 * The card of one problem.
 * @param {object} problem as in RFC 9457, with `errors` and `request_id`
 * @param {HTMLElement[]} [actions] what can be done
 * @param {string} [subject] what it is about, such as a file name
 * @returns {HTMLElement}
 */
export function makeCard(problem, actions = [], subject = "") {
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
    make("p", { class: "text" }, ...(subject ? [make("b", {}, subject), ": "] : []), String(problem.detail ?? "")),
    ...(lines.length ? [make("ul", {}, ...lines)] : []),
    ...(actions.length ? [make("div", { class: "actions" }, ...actions)] : []),
    ...(facts.length ? [make("p", { class: "facts quiet" }, ...facts)] : []),
  );
}

/**
 * A button with a text.
 * @param {string} text
 * @param {() => void} action
 * @returns {HTMLElement}
 */
export function makeButton(text, action) {
  return make("button", { type: "button", class: "button", click: () => action() }, text);
}

/**
 * A form that asks for the API key, keeps it, and goes on.
 * @param {() => void} goOn
 * @returns {HTMLElement}
 */
export function makeKeyForm(goOn) {
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
    goOn();
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

/**
 * Shows in `#notices` what keeps a page from its work, with a way on; without a problem, nothing.
 * @param {object | null} problem
 * @param {() => void} [again]
 */
export function showNotice(problem, again = () => location.reload()) {
  const place = find("notices");
  if (!problem) return place.replaceChildren();
  const action = problem.status === 401 ? makeKeyForm(again) : makeButton("Try again", again);
  return place.replaceChildren(makeCard(problem, [action]));
}
