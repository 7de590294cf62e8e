/** The choice of a recipe. */
import { find, make, onlyWhenChanged } from "./dom.js";
import { change, state } from "./state.js";

const HINTS = {
  aligned: "Tuned against boxes that people drew.",
  paper: "The equations of the paper, as its text has them.",
  official: "What the authors’ released script does.",
};

/** Connects the choice to the state; gives its view. */
export function makeRecipes() {
  const showChoices = onlyWhenChanged((names) => names.join(), setChoices);
  return () => {
    showChoices(Object.keys(state.service.recipes));
    for (const radio of find("recipes").querySelectorAll("input")) radio.checked = radio.value === state.recipe;
    find("recipe-hint").textContent = HINTS[state.recipe] ?? "";
    find("recipes").closest("fieldset").hidden = !Object.keys(state.service.recipes).length;
  };
}

function setChoices(names) {
  const { defaultRecipe } = state.service;
  const ordered = names.toSorted((a, b) => Number(b === defaultRecipe) - Number(a === defaultRecipe));
  const choices = ordered.map((name) =>
    make(
      "label",
      {},
      make("input", {
        type: "radio",
        name: "recipe",
        value: name,
        change: () => change({ recipe: name, thresholds: null, nmsIou: null }),
      }),
      make("span", { class: "text" }, name),
    ),
  );
  find("recipes").replaceChildren(...choices);
}
