/** One image of a label set, large: heat map by label, boxes, and the images before and after it. */
import { ProblemError } from "./api.js";
import { describeBox, makeBoxList } from "./box-list.js";
import { makeDetailPicture } from "./detail-picture.js";
import { announce, make } from "./dom.js";
import { makeHeatControls } from "./heat-controls.js";
import { picturePath } from "./label-images.js";
import { getMerged } from "./map-store.js";
import { makeCard } from "./problem-cards.js";
import { count, formatPercent } from "./words.js";

const SIDE = 1024;

/**
 * The dialog.
 * @param {object} parts
 * @param {object} parts.summary of the label set
 * @param {ReturnType<import("./label-images.js").makeImageList>} parts.list
 * @param {ReturnType<import("./map-store.js").makeMapStore>} parts.maps
 * @param {import("./recutting.js").Recutter} parts.recutter
 * @param {(place: number) => void} parts.closed
 * @returns {{element: HTMLDialogElement, open: (place: number) => void, refresh: () => void}}
 */
export function makeDetail({ summary, list, maps, recutter, closed }) {
  let [place, item] = [0, null];
  const point = (at) => picture.point(at);
  const picture = makeDetailPicture(point);
  const heat = makeHeatControls({ choose: () => showHeat(), fade: (opacity) => picture.setOpacity(opacity) });
  const title = make("h2", { id: "detail-title", class: "text" });
  const where = make("p", { class: "quiet number" });
  const boxes = make("div", { class: "section" });
  const facts = make("div", { class: "hint quiet" });
  const previous = makeStep("Previous image", "‹", () => go(place - 1));
  const next = makeStep("Next image", "›", () => go(place + 1));
  const element = make(
    "dialog",
    { class: "detail", "aria-labelledby": "detail-title", keydown: followKeys, close: () => leave() },
    make(
      "div",
      { class: "detail-head" },
      title,
      where,
      previous,
      next,
      makeStep("Close", "×", () => element.close()),
    ),
    make(
      "div",
      { class: "detail-body" },
      picture.element,
      make("div", { class: "detail-side" }, heat.element, boxes, facts),
    ),
  );

  function followKeys(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.matches("input")) return; // a slider keeps its arrows
    event.preventDefault();
    go(place + step);
  }

  async function go(wanted) {
    if (wanted < 0) return;
    const found = await list.reach(wanted);
    if (!found || !element.open) return;
    [place, item] = [wanted, found];
    show();
  }

  function show() {
    const names = item.labels.map((label) => label.name).join(", ");
    title.textContent = item.key;
    where.textContent = `${(place + 1).toLocaleString("en")} of ${list.total.toLocaleString("en")}`;
    previous.disabled = place === 0;
    next.disabled = place + 1 >= list.total;
    const sizeWH = [item.width, item.height];
    picture.setPhoto(picturePath(summary.job, item.number, SIDE), sizeWH, `${item.key}: ${names}`);
    heat.setLabels(summary.has_cams ? item.labels : []);
    facts.replaceChildren(...describeItem(item).map((text) => make("p", { class: "text" }, text)));
    refresh();
    showHeat();
    recutter.watch(item);
    announce(`${item.key}: ${count(recutter.getBoxes(item).length, "box")} of ${names}`);
  }

  function refresh() {
    if (!item || !element.open) return;
    const nameLabel = (index) => findName(item, index);
    const found = { boxes: recutter.getBoxes(item), reasons: recutter.getReasons(item), nameLabel };
    picture.setBoxes(found.boxes, (box) => describeBox(box, nameLabel(box.label)));
    boxes.replaceChildren(...makeBoxList(found, point));
  }

  async function showHeat() {
    const [label, wanted] = [heat.getLabel(), item];
    if (label === null) return picture.setHeat(null);
    try {
      const entry = await maps.load(wanted.number);
      if (item !== wanted || heat.getLabel() !== label) return;
      const merged = getMerged(entry, label, summary.recipe.mining);
      picture.setHeat(merged && typeof merged !== "string" ? merged : null);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      if (item === wanted) facts.replaceChildren(makeCard(error.problem));
    }
  }

  function leave() {
    picture.clear();
    item = null;
    recutter.watch(null);
    closed(place);
  }

  return {
    element,
    refresh,
    open(wanted) {
      element.showModal();
      go(wanted);
    },
  };
}

function makeStep(name, sign, action) {
  return make(
    "button",
    { type: "button", class: "step", "aria-label": name, click: action },
    make("span", { "aria-hidden": "true" }, sign),
  );
}

function findName(item, index) {
  const label = [...item.labels, item.top1].find((one) => one?.index === index);
  return label?.name || label?.wnid || String(index);
}

function describeItem(item) {
  const scored = item.labels.map(({ name, score }) =>
    Number.isFinite(score) ? `${name} ${formatPercent(score)}` : name,
  );
  const lines = [`${item.width} × ${item.height} px`];
  if (scored.length) lines.push(`Classifier: ${scored.join(", ")}`);
  const { top1 } = item;
  if (top1 && !item.labels.some((label) => label.index === top1.index)) {
    lines.push(
      `Its first choice would be ${top1.name}${Number.isFinite(top1.score) ? `, ${formatPercent(top1.score)}` : ""}`,
    );
  }
  return [...lines, ...item.reasons.map((reason) => `Doubtful: ${reason}`)];
}
