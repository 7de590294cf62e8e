/** The page of one label set. */
import { ProblemError } from "./api.js";
import { find, make } from "./dom.js";
import { makeImageGrid } from "./image-grid.js";
import { job, nameOutput, openOutput } from "./job-output.js";
import { makeDetail } from "./label-detail.js";
import { makeExports, makePretrainLink } from "./label-exports.js";
import { makeFilters, readFilter } from "./label-filters.js";
import { makeImageList, pathOf, picturePath } from "./label-images.js";
import { makeCautions, makeFacts, makeStatistics } from "./label-summary.js";
import { makeImageTile, showBoxes } from "./label-tiles.js";
import { makeMapStore } from "./map-store.js";
import { nameEnd } from "./place-names.js";
import { makeCard } from "./problem-cards.js";
import { makeRecutPanel } from "./recut-panel.js";
import { makeRecutter } from "./recutting.js";
import { count } from "./words.js";

const PICTURE_SIDE = 320;
const CAPTION_REM = { plain: 2.9, doubtful: 5.6 };
const NOUN = "label set";
const content = find("content");

openOutput({ noun: NOUN, path: pathOf(job), all: "/label-sets", show });

function show(summary) {
  nameOutput(NOUN, nameEnd(summary.place) || job);
  content.replaceChildren(
    ...makeCautions(summary),
    make("section", { class: "card section summary", "aria-label": "Summary" }, makeFacts(summary), makeWays(summary)),
    makeStatistics(summary.statistics),
    makeGallery(summary),
    makeExports(summary),
  );
}

function makeWays(summary) {
  const toJob = make("a", { class: "button", href: `/jobs/${encodeURIComponent(job)}` }, "Its job");
  return make("div", { class: "actions" }, makePretrainLink(job), toJob);
}

function makeGallery(summary) {
  let filter = readFilter();
  const total = make("p", { class: "quiet", id: "total" });
  const trouble = make("div", { class: "trouble" });
  const vacant = make(
    "div",
    { class: "vacant", hidden: true },
    make("h3", {}, "No such image"),
    make("p", { class: "quiet" }, "Nothing in the sample is like that."),
  );
  const fail = (error) => {
    if (!(error instanceof ProblemError)) throw error;
    trouble.replaceChildren(makeCard(error.problem));
  };

  const maps = makeMapStore(job);
  const list = makeImageList(job, { change: showList, fail });
  const recutter = makeRecutter(job, maps, { cut: refreshSoon, settle, fail });
  const panel = summary.has_cams && summary.recipe.mining ? makeRecutPanel(summary, recutter) : null;
  const grid = makeImageGrid({
    label: "Images",
    makeTile,
    measureCaption: () =>
      CAPTION_REM[filter.order === "worst" ? "doubtful" : "plain"] *
      Number.parseFloat(getComputedStyle(document.documentElement).fontSize),
    reach: (place) => list.reach(place),
    move: () => recutter.look(grid.getView()),
  });
  const detail = makeDetail({ summary, list, maps, recutter, closed: (place) => grid.focus(place) });

  function makeTile(item, place) {
    return makeImageTile(item, {
      path: picturePath(job, item.number, PICTURE_SIDE),
      boxes: recutter.getBoxes(item),
      hasReasons: filter.order === "worst",
      open: () => detail.open(place),
    });
  }

  function start(wanted) {
    filter = wanted;
    trouble.replaceChildren();
    grid.clear();
    recutter.setFilter(filter);
    list.start(filter);
  }

  function showList() {
    const words = count(list.total, "image");
    total.textContent = list.isComing && !list.items.length ? "Reading…" : words;
    vacant.hidden = list.isComing || list.total > 0 || trouble.childElementCount > 0;
    grid.setItems(list.items, list.total);
  }

  function refresh() {
    grid.forEach((tile, item) => showBoxes(tile, item, recutter.getBoxes(item)));
    detail.refresh();
  }

  let isRefreshing = false;
  function refreshSoon() {
    if (isRefreshing) return;
    isRefreshing = true;
    requestAnimationFrame(() => {
      isRefreshing = false;
      refresh();
    });
  }

  function settle() {
    panel?.showOutcome();
    refreshSoon();
  }

  queueMicrotask(() => start(filter)); // once the grid is in the document
  return make(
    "section",
    { class: "section gallery", "aria-labelledby": "images-title" },
    make("div", { class: "headline" }, make("h2", { id: "images-title" }, "Images"), total),
    makeFilters(summary, filter, start),
    make(
      "div",
      { class: panel ? "bench" : "" },
      make("div", { class: "shelf" }, trouble, vacant, grid.element),
      ...(panel ? [panel.element] : []),
    ),
    detail.element,
  );
}
