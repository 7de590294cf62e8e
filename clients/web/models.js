/** The page of all trained models. */
import { ask } from "./api.js";
import { find, make } from "./dom.js";
import { makeCell, makeEndlessTable } from "./endless-table.js";
import { formatWhen, makeState, nameKind } from "./job-words.js";
import { nameEnd } from "./place-names.js";
import { formatPercent } from "./words.js";

const KINDS = ["train-classifier", "pretrain", "finetune", "self-train"];
const HEADS = [
  ["Model", ""],
  ["Made by", ""],
  ["State", ""],
  ["Network", ""],
  ["Classes", "amount"],
  ["AP", "amount"],
  ["AP50", "amount"],
  ["Submitted", ""],
];
const PAGE = 50;

const kinds = make("select", { id: "kind", class: "text-field", change: open });
kinds.append(
  make("option", { value: "" }, "All models"),
  ...KINDS.map((kind) => make("option", { value: kind }, nameKind(kind))),
);
const place = make("div");
find("content").replaceChildren(
  make("div", { class: "toolbar" }, make("div", { class: "field" }, make("label", { for: "kind" }, "Made by"), kinds)),
  place,
);
open();

function open() {
  const kind = kinds.value;
  let cursor = null;
  const next = async () => {
    const query = new URLSearchParams({ limit: String(PAGE), ...(kind && { kind }), ...(cursor && { cursor }) });
    const page = await ask(`/v1/checkpoints?${query}`);
    cursor = page.next_cursor;
    return { items: page.items, isLast: !cursor };
  };
  const vacant = make(
    "div",
    { class: "vacant" },
    make("h2", {}, "No models yet"),
    make("p", { class: "quiet" }, "A job that trains a classifier or a detector makes one."),
    make(
      "a",
      { class: "button primary", href: `/jobs/new?kind=${kind || "pretrain"}` },
      kind ? nameKind(kind) : "Pre-train a detector",
    ),
  );
  place.replaceChildren(makeEndlessTable({ caption: "Models, newest first", heads: HEADS, makeRow, next, vacant }));
}

function makeRow(model) {
  const name = nameEnd(model.place) || model.job;
  const best = model.results.reduce((most, one) => ((one.ap ?? -1) > (most?.ap ?? -1) ? one : most), null);
  return make(
    "tr",
    {},
    make(
      "th",
      { scope: "row", class: "name-cell" },
      make("a", { class: "text", href: `/models/${encodeURIComponent(model.job)}` }, name),
      make("span", { class: "mono text" }, model.place),
    ),
    makeCell("", "", nameKind(model.kind)),
    makeCell("", "", makeState(model)),
    makeCell("network", "text wrap", [model.architecture, model.backbone].filter(Boolean).join(" · ")),
    makeCell("classes", "amount", model.num_classes.toLocaleString("en")),
    makeCell("AP", "amount", formatScore(best?.ap)),
    makeCell("AP50", "amount", formatScore(best?.ap50)),
    makeCell("", "number", formatWhen(model.created)),
  );
}

function formatScore(value) {
  return Number.isFinite(value) ? formatPercent(value) : "";
}
