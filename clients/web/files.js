/** Images come in: chosen, dropped or pasted. */
import { announce, find } from "./dom.js";
import { change, getSelected, state } from "./state.js";
import { count } from "./words.js";

let nextId = 1;

/** Listens for images. */
export function listenForFiles() {
  const chooser = find("files");
  find("choose").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    addFiles([...chooser.files]);
    chooser.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    addFiles(files);
  });
  listenForDrops();
}

/**
 * Adds images to those of the page and shows the first of them.
 * @param {File[]} files
 */
export function addFiles(files) {
  if (!files.length) return;
  const images = files.map((file) => ({
    id: nextId++,
    file,
    url: URL.createObjectURL(file),
    labels: [...state.labels],
    status: "waiting",
    answer: null,
    item: null,
    cams: [],
    ranWith: "",
    problem: null,
    retryAt: null,
  }));
  change({ images: [...state.images, ...images], selected: images[0].id, labels: [], pinned: null, pointed: null });
  announce(`${count(images.length, "image")} added`);
}

/**
 * Takes an image from the page; its neighbour is shown instead.
 * @param {number} id
 */
export function removeImage(id) {
  const place = state.images.findIndex((image) => image.id === id);
  const image = state.images[place];
  const images = state.images.filter((other) => other !== image);
  const next = getSelected() === image ? (images[Math.min(place, images.length - 1)]?.id ?? null) : state.selected;
  change({ images, selected: next, pinned: null, pointed: null });
  URL.revokeObjectURL(image.url);
  announce(`${image.file.name} removed`);
}

function listenForDrops() {
  const veil = find("drop");
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  let depth = 0; // entering a child comes before leaving its parent
  const setDepth = (value) => {
    depth = Math.max(0, value);
    veil.hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => holdsFiles(event) && setDepth(depth + 1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && setDepth(depth - 1));
  document.addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    addFiles([...event.dataTransfer.files]);
  });
}
