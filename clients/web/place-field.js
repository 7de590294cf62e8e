/** Inputs for places: a place is typed, or it is where an earlier job writes. */
import { make } from "./dom.js";
import { makeRemove, makeTextInput } from "./field-inputs.js";
import { listMakers } from "./spec-fields.js";

/**
 * The input of a field that holds one place.
 * @param {import("./field-shapes.js").Shape} shape
 * @param {string} id
 * @param {() => void} onChange
 * @param {import("./earlier-jobs.js").EarlierJobs} jobs
 * @returns {import("./field-inputs.js").FieldInput}
 */
export function makePlaceInput(shape, id, onChange, jobs) {
  const input = makeTextInput({ id, input: onChange, placeholder: "s3://bucket/prefix or /folder" });
  if (shape.fallback) input.placeholder = "a name, s3://bucket/prefix or /folder";
  const makers = listMakers(shape.name);
  const select = make("select", { class: "text-field", "aria-label": `${shape.title}: earlier job`, hidden: true });
  const note = make("p", { class: "hint quiet text", hidden: true });
  const toggle = make("button", { type: "button", class: "button" }, "Earlier job");
  const control = () => (select.hidden ? input : select);

  function setChoosing(isChoosing) {
    [input.hidden, select.hidden] = [isChoosing, !isChoosing];
    toggle.textContent = isChoosing ? "Type a place" : "Earlier job";
    note.hidden = !isChoosing;
  }

  async function offer(chosen) {
    setChoosing(true);
    fill(select, [], chosen);
    note.textContent = "Looking for jobs…";
    try {
      const found = await jobs.list(makers);
      const isListed = !chosen || found.some((one) => isFor(one, chosen));
      fill(select, isListed ? found : [await jobs.find(chosen), ...found], chosen ?? parse(select.value));
      note.textContent =
        found.length || chosen ? "" : "No job that has succeeded, runs or waits makes what this takes.";
      await explain();
    } catch (error) {
      note.textContent = error.problem?.detail ?? error.message;
    }
  }

  async function explain() {
    const reference = parse(select.value);
    if (!reference) return;
    const { place, hasEnded } = await jobs.find(reference);
    if (select.value === JSON.stringify(reference))
      note.textContent = `${place}${hasEnded ? "" : ". The new job waits until that one has succeeded."}`;
  }

  select.addEventListener("change", () => {
    note.textContent = "";
    explain().catch((error) => (note.textContent = error.message));
    onChange();
  });
  toggle.addEventListener("click", async () => {
    if (select.hidden) offer();
    else setChoosing(false);
    control().focus();
    onChange();
  });
  const line = make("div", { class: "line" }, input, select);
  if (makers.length) line.append(toggle);
  return {
    element: make("div", { class: "place" }, line, note),
    listControls: () => [control()],
    read: () => (select.hidden ? input.value.trim() || undefined : parse(select.value)),
    write: (value) => {
      if (value && typeof value === "object") return offer(value);
      input.value = value ?? "";
      return setChoosing(false);
    },
  };
}

function parse(text) {
  return text ? JSON.parse(text) : undefined;
}

function isFor(one, reference) {
  return JSON.stringify(one.reference) === JSON.stringify(reference);
}

function fill(select, found, chosen) {
  const known = !chosen || found.some((one) => isFor(one, chosen));
  const options = found.map((one) => make("option", { value: JSON.stringify(one.reference) }, one.text));
  if (!known) options.unshift(make("option", { value: JSON.stringify(chosen) }, `job ${chosen.job}`));
  select.replaceChildren(make("option", { value: "" }, "Choose a job…"), ...options);
  select.value = chosen ? JSON.stringify(chosen) : "";
}

/**
 * The input of a field that holds several places.
 * @param {import("./field-shapes.js").Shape} shape
 * @param {string} id of the first one
 * @param {() => void} onChange
 * @param {import("./earlier-jobs.js").EarlierJobs} jobs
 * @returns {import("./field-inputs.js").FieldInput}
 */
export function makePlacesInput(shape, id, onChange, jobs) {
  const rows = make("div", { class: "rows" });
  let inputs = [];

  function add(value) {
    const input = makePlaceInput(shape, inputs.length ? undefined : id, onChange, jobs);
    input.write(value);
    inputs.push(input);
    rows.append(input.element);
    if (inputs.length === 1) return input;
    const name = `${shape.title} ${inputs.length}`;
    input.listControls()[0].setAttribute("aria-label", name);
    const forget = () => {
      inputs = inputs.filter((one) => one !== input);
      onChange();
    };
    input.element.querySelector(".line").append(makeRemove(`Remove ${name}`, input.element, forget));
    return input;
  }

  const button = make(
    "button",
    { type: "button", class: "link", click: () => add().listControls()[0].focus() },
    "Add another",
  );
  return {
    element: make("div", { class: "several" }, rows, button),
    listControls: () => inputs.flatMap((one) => one.listControls()),
    read: () => {
      const values = inputs.map((one) => one.read()).filter((one) => one !== undefined);
      return values.length ? values : undefined;
    },
    write: (value) => {
      rows.replaceChildren();
      inputs = [];
      for (const one of value?.length ? value : [undefined]) add(one);
    },
  };
}
