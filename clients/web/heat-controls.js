/** Which label's heat map is shown, and how strongly. */
import { colourClass } from "./colours.js";
import { make } from "./dom.js";
import { setSlider } from "./threshold-sliders.js";

/**
 * The controls; the opacity stays from image to image.
 * @param {{choose: (label: number) => void, fade: (opacity: number) => void}} listeners
 * @returns {{element: HTMLElement, setLabels: (labels: object[]) => void, getLabel: () => number | null}}
 */
export function makeHeatControls({ choose, fade }) {
  let chosen = null;
  const radios = make("div", { class: "radios" });
  const slider = make("input", { type: "range", id: "heat-opacity", min: 0, max: 100, step: 1 });
  const value = make("span", { class: "value", "aria-hidden": "true" });
  const slide = (percent) => {
    setSlider(slider, value, percent, (number) => `${number} %`);
    fade(percent / 100);
  };
  slider.addEventListener("input", () => slide(Number(slider.value)));
  slide(60);
  const element = make(
    "fieldset",
    { class: "field" },
    make("legend", {}, "Heat map"),
    radios,
    make("div", { class: "slider" }, make("label", { for: "heat-opacity" }, "Opacity"), slider, value),
    make("div", { class: "scale", "aria-hidden": "true" }),
  );

  function makeRadio(label) {
    const pick = () => {
      chosen = label.index;
      choose(chosen);
    };
    const input = make("input", { type: "radio", name: "heat-label", value: label.index, change: pick });
    input.checked = label.index === chosen;
    const swatch = make("span", { class: `swatch ${colourClass(label.index)}`, "aria-hidden": "true" });
    return make("label", { class: "radio" }, input, swatch, make("span", { class: "text" }, label.name));
  }

  return {
    element,
    getLabel: () => chosen,
    setLabels(labels) {
      element.hidden = !labels.length;
      chosen = (labels.find((label) => label.index === chosen) ?? labels[0])?.index ?? null;
      radios.hidden = labels.length < 2;
      radios.replaceChildren(...labels.map(makeRadio));
    },
  };
}
