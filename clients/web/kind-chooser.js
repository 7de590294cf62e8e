/** The choice of what a job is to do. */
import { make } from "./dom.js";
import { nameKind } from "./job-words.js";
import { withCode } from "./schemas.js";

/**
 * Radio buttons for the kinds: with what each does as long as none is chosen, then close together.
 * @param {Map<string, object>} schemas by kind
 * @param {(kind: string) => void} choose
 * @returns {{element: HTMLElement, show: (kind: string) => void}}
 */
export function makeKindChooser(schemas, choose) {
  const radios = new Map();
  const cards = [...schemas].map(([kind, schema]) => {
    const radio = make("input", {
      type: "radio",
      name: "kind",
      value: kind,
      id: `kind-${kind}`,
      change: () => choose(kind),
    });
    radio.setAttribute("aria-describedby", `about-${kind}`);
    radios.set(kind, radio);
    const about = make("span", { class: "about quiet", id: `about-${kind}` }, ...withCode(schema.description ?? ""));
    return make(
      "label",
      { class: "kind", for: radio.id },
      radio,
      make("span", { class: "name" }, nameKind(kind)),
      about,
    );
  });
  const grid = make("div", { class: "kinds" }, ...cards);
  const sentence = make("p", { class: "sentence", hidden: true });
  return {
    element: make("fieldset", { class: "chooser section" }, make("legend", {}, "What is to be done?"), grid, sentence),
    show: (kind) => {
      for (const [name, radio] of radios) radio.checked = name === kind;
      grid.classList.toggle("chosen", radios.has(kind));
      sentence.hidden = !radios.has(kind);
      sentence.replaceChildren(...withCode(schemas.get(kind)?.description ?? ""));
    },
  };
}

/**
 * The schemas of jobs in an OpenAPI document, by kind.
 * @param {object} document
 * @param {string[]} order of the kinds; others follow
 * @returns {Map<string, object>}
 */
export function readSchemas(document, order) {
  const found = Object.values(document.components?.schemas ?? {})
    .filter((schema) => typeof schema.properties?.kind?.const === "string")
    .map((schema) => [schema.properties.kind.const, schema]);
  const rank = (kind) => (order.includes(kind) ? order.indexOf(kind) : order.length);
  return new Map(found.sort(([one], [other]) => rank(one) - rank(other)));
}
