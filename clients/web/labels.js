/** The labels of the chosen image: chips, and a field that finds classes. No chip stands for `auto`. */
import { askClasses } from "./api.js";
import { colourClass } from "./colours.js";
import { makeCombobox } from "./combobox.js";
import { announce, find, make, onlyWhenChanged } from "./dom.js";
import { change, changeImage, getSelected, state } from "./state.js";
import { count } from "./words.js";

const AUTO = { index: -1, wnid: "auto", name: "the classifier’s first choice" };

/** Connects the field to the state; gives its view. */
export function makeLabels() {
  makeCombobox({
    input: find("label-text"),
    popup: find("label-popup"),
    list: find("label-list"),
    message: find("label-message"),
    search: searchClasses,
    describe: describeClass,
    choose: addLabel,
    erase: () => setLabels(getLabels().slice(0, -1)),
  });
  find("labels-for-all").addEventListener("click", () => {
    for (const image of state.images) changeImage(image, { labels: [...getLabels()] });
    announce(`The labels are used for all ${state.images.length} images`);
  });
  const showChips = onlyWhenChanged((labels) => JSON.stringify(labels), setChips);
  return () => {
    const labels = getLabels();
    showChips(labels);
    const others = state.images.filter((image) => JSON.stringify(image.labels) !== JSON.stringify(labels));
    find("labels-for-all").hidden = state.images.length < 2 || !others.length;
    find("labels-title").textContent = state.images.length > 1 ? "Labels of this image" : "Labels";
  };
}

function getLabels() {
  return getSelected()?.labels ?? state.labels;
}

function setLabels(labels) {
  const image = getSelected();
  if (image) changeImage(image, { labels });
  else change({ labels });
}

function addLabel(label) {
  if (label === AUTO) return setLabels([]);
  if (getLabels().some((other) => other.index === label.index)) return announce(`${label.name} is already there`);
  announce(`${label.name} added`);
  return setLabels([...getLabels(), label]);
}

async function searchClasses(words, signal) {
  if (!words) return { options: [AUTO], message: "Type to find one of the classifier’s classes." };
  const { total, classes } = await askClasses(words, { signal });
  const options = "auto".startsWith(words.toLowerCase()) ? [AUTO, ...classes] : classes;
  if (!options.length) return { options, message: "No class has this name." };
  const rest = total - classes.length;
  return {
    options,
    message: rest > 0 ? `${count(rest, "more class", "more classes")}; type on to narrow them down.` : "",
  };
}

function describeClass({ name, wnid }) {
  const [first, second] = wnid === AUTO.wnid ? [wnid, name] : [name, wnid];
  return [make("span", { class: "text" }, first), make("span", { class: "quiet" }, second)];
}

function setChips(labels) {
  const chips = labels.map((label, place) => {
    const remove = () => {
      setLabels(getLabels().toSpliced(place, 1));
      find("label-text").focus();
    };
    return make(
      "li",
      { class: "chip", title: label.wnid },
      make("span", { class: `swatch ${colourClass(label.index)}`, "aria-hidden": "true" }),
      make("span", { class: "text" }, label.name),
      make(
        "button",
        { type: "button", class: "quiet-button", "aria-label": `Remove ${label.name}`, click: remove },
        make("span", { "aria-hidden": "true" }, "×"),
      ),
    );
  });
  const auto = make("li", { class: "chip auto" }, make("b", {}, AUTO.wnid), ` ${AUTO.name}`);
  find("chips").replaceChildren(...(chips.length ? chips : [auto]));
}
