/** How the fields of jobs are shown: which come first, which stand together, and what earlier jobs can fill them. */

/** The kinds in the order of the work; others follow. */
export const KINDS = [
  "mine",
  "train-classifier",
  "pretrain",
  "finetune",
  "self-train",
  "evaluate",
  "predict",
  "recut",
  "export",
];

const COMMON = {
  mine: ["source", "labels", "classifier", "recipe", "out"],
  "train-classifier": ["source", "start", "head_only", "recipe", "out"],
  pretrain: ["label_set", "recipe", "out"],
  finetune: ["checkpoint", "classifier", "data", "shots", "recipe", "out"],
  "self-train": ["checkpoint", "data", "images", "keep_score", "recipe", "labels", "out"],
  evaluate: ["detector", "data", "split", "out"],
  predict: ["detector", "source", "keep_score", "out"],
  recut: ["label_set", "thresholds", "nms_iou", "short_sides", "out"],
  export: ["label_set", "format", "images", "min_score", "out"],
};

const GROUPS = [
  ["Labels of the images", ["labels", "label_pattern", "label_table", "label_map"]],
  ["Classifier", ["classifier", "start", "weights", "classes"]],
  ["Boxes", ["recipe", "short_sides", "thresholds", "nms_iou", "min_score", "voc_flavor"]],
  [
    "Which images count",
    [
      "data_format",
      "split",
      "years",
      "image_root",
      "inclusive",
      "images_from",
      "leave_out",
      "class_map",
      "shots",
      "shot_seed",
    ],
  ],
  ["Training", ["changes", "seed", "holdout", "save_every", "keep", "resume"]],
  ["What is kept", ["images", "cams", "growth", "shown", "max_failures", "shard_images"]],
  [
    "Running",
    ["short_side", "mirror", "batch_size", "engine", "precision", "device", "decoders", "labelers", "workers", "ray"],
  ],
];

const TITLES = {
  out: "Output",
  nms_iou: "NMS IoU",
  cams: "Maps",
  ray: "Ray address",
  voc_flavor: "VOC flavour",
  keep: "Steps to keep",
  split: "Split or image set",
};
const TITLES_OF_KIND = {
  "self-train": { labels: "Output of what it finds", images: "Images without boxes" },
  predict: { source: "Images", images: "Images in the label set" },
  mine: { source: "Images", images: "Images in the label set" },
  "train-classifier": { source: "Images" },
};

const LABEL_SETS = ["mine", "recut", "predict", "self-train:labels"];
const DETECTORS = ["finetune", "self-train", "pretrain"];
const MAKERS = {
  label_set: LABEL_SETS,
  checkpoint: DETECTORS,
  detector: DETECTORS,
  classifier: ["train-classifier"],
  start: ["train-classifier"],
  source: ["export"],
  data: ["export"],
};

/**
 * The fields of a kind in sections: first those that are needed or common, without a title, then the others.
 * @param {string} kind
 * @param {import("./field-shapes.js").Shape[]} shapes
 * @returns {{title: string, shapes: import("./field-shapes.js").Shape[]}[]}
 */
export function arrange(kind, shapes) {
  const known = new Map(shapes.map((shape) => [shape.name, shape]));
  const common = COMMON[kind] ?? [];
  const first = [
    ...common,
    ...shapes.filter((one) => one.isRequired && !common.includes(one.name)).map((one) => one.name),
  ];
  const sections = [["", first], ...GROUPS, ["Others", [...known.keys()]]];
  return sections.map(([title, names]) => ({ title, shapes: take(known, names) })).filter((one) => one.shapes.length);
}

/**
 * What a field is called.
 * @param {string} kind
 * @param {string} name
 * @returns {string}
 */
export function nameField(kind, name) {
  const words = name.replaceAll("_", " ");
  return TITLES_OF_KIND[kind]?.[name] ?? TITLES[name] ?? words[0].toUpperCase() + words.slice(1);
}

function take(known, names) {
  const taken = names.filter((name) => known.has(name)).map((name) => known.get(name));
  for (const { name } of taken) known.delete(name);
  return taken;
}

/**
 * The kinds of jobs whose output a field can read, as `kind` or `kind:output`.
 * @param {string} name of the field
 * @returns {string[]}
 */
export function listMakers(name) {
  return MAKERS[name] ?? [];
}
