/** The table of boxes; a row and its box stand out together. */
import { colourClass } from "./colours.js";
import { announce, find, make, onlyWhenChanged } from "./dom.js";
import { getPointed, nameLabel } from "./picture.js";
import { getShown } from "./shown.js";
import { change, state } from "./state.js";
import { count, explainReason, formatShare } from "./words.js";

/** Connects the table to the state; gives its view. */
export function makeTable() {
  const showRows = onlyWhenChanged(
    (shown) => (shown ? JSON.stringify([shown.image.id, shown.image.answer.request_id, shown.boxes]) : ""),
    setRows,
  );
  const showReasons = onlyWhenChanged((shown) => JSON.stringify(shown?.reasons ?? null), setReasons);
  find("rows").addEventListener("keydown", moveByArrows);
  return () => {
    const shown = getShown(state);
    find("results").hidden = !shown;
    showRows(shown);
    showReasons(shown);
    if (!shown) return;
    find("origin").textContent = describeOrigin(shown);
    const pointed = getPointed();
    [...find("rows").rows].forEach((row, place) => {
      row.classList.toggle("pointed", place === pointed);
      row.querySelector("button").setAttribute("aria-pressed", String(place === state.pinned));
    });
  };
}

function setRows(shown) {
  const rows = (shown?.boxes ?? []).map((box, place) => makeRow(shown, box, place));
  find("rows").replaceChildren(...rows);
  find("table-frame").hidden = !rows.length;
  if (state.pinned !== null || state.pointed !== null) change({ pinned: null, pointed: null });
  if (!shown) return;
  const words = count(rows.length, "box");
  find("count").textContent = words[0].toUpperCase() + words.slice(1);
  announce(`${words} in ${shown.image.file.name}`);
}

function makeRow(shown, box, place) {
  const name = nameLabel(shown, box.label);
  const toggle = () => change({ pinned: state.pinned === place ? null : place });
  const button = make(
    "button",
    {
      type: "button",
      class: "row-button",
      "aria-pressed": "false",
      focus: () => change({ pointed: place }),
      blur: () => change({ pointed: null }),
    },
    make("span", { class: `swatch ${colourClass(box.label)}`, "aria-hidden": "true" }),
    make("span", { class: "text" }, name),
  );
  const numbers = [formatShare(box.threshold), box.score.toFixed(2), ...box.xyxy.map((side) => side.toFixed(0))];
  return make(
    "tr",
    { click: toggle, pointerenter: () => change({ pointed: place }), pointerleave: () => change({ pointed: null }) },
    make("th", { scope: "row" }, button),
    ...numbers.map((text) => make("td", { class: "amount number" }, text)),
  );
}

function setReasons(shown) {
  const lines = (shown?.reasons ?? []).map(({ label, reason }) =>
    make("li", {}, make("span", { class: "text" }, nameLabel(shown, label)), ` has no box: ${explainReason(reason)}.`),
  );
  find("reasons").replaceChildren(...lines);
}

function describeOrigin({ isServers, isRecipe, recipe, image }) {
  const name = isRecipe ? `recipe ${recipe.name}` : `recipe ${recipe.name.replace("*", "")}, changed`;
  const { classifier, engine, precision } = image.answer.model;
  return isServers ? `${name} · ${classifier} on ${engine} ${precision}` : `${name} · cut in this browser`;
}

function moveByArrows(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (!(event.key in steps)) return;
  const buttons = [...find("rows").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + steps[event.key]];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
