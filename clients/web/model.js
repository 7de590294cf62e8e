/** The page of one trained model. */
import { find, make } from "./dom.js";
import { job, nameOutput, openOutput } from "./job-output.js";
import { formatWhen, makeState, nameKind } from "./job-words.js";
import { findLineage, makeLineage } from "./lineage.js";
import { makeTrial } from "./model-try.js";
import { nameEnd } from "./place-names.js";
import { count } from "./words.js";

const FEW_CLASSES = 20;
const NOUN = "model";
const content = find("content");

openOutput({ noun: NOUN, path: `/v1/checkpoints/${encodeURIComponent(job)}`, all: "/models", show });

function show(model) {
  nameOutput(NOUN, nameEnd(model.place) || job);
  const lineage = make(
    "section",
    { class: "section", "aria-labelledby": "lineage-title" },
    make("h2", { id: "lineage-title" }, "Where it comes from"),
  );
  content.replaceChildren(
    make("section", { class: "card section summary", "aria-label": "Summary" }, makeFacts(model), makeWays(model)),
    lineage,
    ...(model.backbone ? [makeTrial(job)] : []),
    makeResults(model),
    makeClasses(model),
  );
  findLineage(model).then((chain) => lineage.append(make("div", { class: "lineage" }, makeLineage(chain))));
}

function makeFacts(model) {
  const facts = [
    ["Place", make("span", { class: "mono" }, model.place)],
    ["Made by", nameKind(model.kind)],
    ["State", makeState(model)],
    ["Submitted", formatWhen(model.created)],
    ["Network", [model.architecture, model.backbone].filter(Boolean).join(" · ")],
    ["Recipe", model.recipe],
    ["Step", model.step.toLocaleString("en")],
    [
      "Classes",
      model.class_agnostic
        ? `${model.num_classes}, localised alone and not told apart`
        : model.num_classes.toLocaleString("en"),
    ],
  ];
  return make(
    "dl",
    { class: "facts-list" },
    ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { class: "text" }, value)]),
  );
}

function makeWays({ kind }) {
  const next = {
    "train-classifier": ["mine", "classifier", "Mine boxes with it"],
    pretrain: ["finetune", "checkpoint", "Fine-tune it"],
  };
  const [nextKind, field, text] = next[kind] ?? ["evaluate", "detector", "Evaluate it"];
  const query = new URLSearchParams({ kind: nextKind, [field]: `job:${job}` });
  return make(
    "div",
    { class: "actions" },
    make("a", { class: "button primary", href: `/jobs/new?${query}` }, text),
    make("a", { class: "button", href: `/jobs/${encodeURIComponent(job)}` }, "Its job"),
  );
}

function makeResults({ results }) {
  const title = make("h2", { id: "results-title" }, "Results");
  const attributes = { class: "section", "aria-labelledby": "results-title" };
  if (!results.length)
    return make("section", attributes, title, make("p", { class: "quiet" }, "It has not been evaluated."));
  const say = (value) => make("td", { class: "amount" }, Number.isFinite(value) ? (100 * value).toFixed(1) : "–");
  const rows = results.map((one) =>
    make(
      "tr",
      {},
      make(
        "th",
        { scope: "row" },
        make("a", { class: "text", href: `/jobs/${encodeURIComponent(one.job)}` }, one.data),
      ),
      say(one.ap),
      say(one.ap50),
    ),
  );
  const heads = make(
    "tr",
    {},
    make("th", { scope: "col" }, "Data"),
    ...["AP", "AP50"].map((text) => make("th", { scope: "col", class: "amount" }, text)),
  );
  return make(
    "section",
    attributes,
    title,
    make("div", { class: "scroll" }, make("table", {}, make("thead", {}, heads), make("tbody", {}, ...rows))),
  );
}

function makeClasses({ classes }) {
  const list = (names) =>
    make("ul", { class: "class-names", role: "list" }, ...names.map((name) => make("li", { class: "text" }, name)));
  const rest = classes.slice(FEW_CLASSES);
  const more = rest.length
    ? [make("details", {}, make("summary", {}, `${count(rest.length, "more class", "more classes")}`), list(rest))]
    : [];
  return make(
    "section",
    { class: "section", "aria-labelledby": "classes-title" },
    make("h2", { id: "classes-title" }, "Classes"),
    list(classes.slice(0, FEW_CLASSES)),
    ...more,
  );
}
