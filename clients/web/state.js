/** What the page knows, in one place; views are told when it changed. */

/**
 * @typedef {{index: number, wnid: string, name: string}} ImageClass
 * @typedef {"waiting" | "running" | "done" | "failed"} Status
 * @typedef {{id: number, file: File, url: string, labels: ImageClass[], status: Status, answer: object | null,
 *   item: object | null, cams: object[], ranWith: string, problem: object | null, retryAt: number | null}} PageImage
 * `labels` empty stands for `auto`; `ranWith` are the labels that the answer belongs to
 */

export const state = {
  service: { status: "starting", model: null, recipes: {}, limits: null, problem: null },
  /** @type {PageImage[]} */ images: [],
  /** @type {number | null} */ selected: null,
  /** @type {ImageClass[]} */ labels: [], // of images that are still to come
  recipe: "",
  /** @type {number[] | null} */ thresholds: null, // null: the recipe's
  /** @type {number | null} */ nmsIou: null, // null: the recipe's
  /** @type {number | null} */ heatLabel: null, // null: the first label
  opacity: 0.6,
  /** @type {number | null} */ pointed: null, // the box under the pointer or the focus
  /** @type {number | null} */ pinned: null, // the box chosen to stay in view
  running: false,
};

const listeners = new Set();
let isScheduled = false;

/**
 * Calls `listener` with the state now and after every change, once for changes that are made together.
 * @param {(state: object) => void} listener
 */
export function subscribe(listener) {
  listeners.add(listener);
  listener(state);
}

/**
 * Changes some values of the state.
 * @param {Partial<typeof state>} values
 */
export function change(values) {
  Object.assign(state, values);
  if (isScheduled) return;
  isScheduled = true;
  queueMicrotask(() => {
    isScheduled = false;
    for (const listener of listeners) listener(state);
  });
}

/**
 * Changes some values of one image.
 * @param {PageImage} image
 * @param {Partial<PageImage>} values
 */
export function changeImage(image, values) {
  Object.assign(image, values);
  change({});
}

/**
 * The image that is shown, if any.
 * @returns {PageImage | undefined}
 */
export function getSelected() {
  return state.images.find((image) => image.id === state.selected);
}

/**
 * The record of the chosen recipe, if the service has told its recipes.
 * @returns {object | undefined}
 */
export function getRecipe() {
  return state.service.recipes[state.recipe];
}

/**
 * Whether an image has no answer to its present labels.
 * @param {PageImage} image
 * @returns {boolean}
 */
export function needsRun(image) {
  return image.status === "waiting" || image.status === "failed" || image.ranWith !== describeRequest(image);
}

/**
 * What an answer depends on, as text to compare: the labels, and the passes of the recipe.
 * @param {PageImage} image
 * @returns {string}
 */
export function describeRequest(image) {
  return JSON.stringify([image.labels.map((label) => label.wnid), getRecipe()?.cam ?? null]);
}
