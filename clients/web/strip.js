/** The strip of thumbnails, when there is an image to show. */
import { find, make } from "./dom.js";
import { removeImage } from "./files.js";
import { change, needsRun, state } from "./state.js";

const items = new Map(); // image id -> its element of the strip

/** Connects the strip to the state; gives its view. */
export function makeStrip() {
  const strip = find("strip");
  const add = make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "add", click: () => find("files").click() },
      make("span", { "aria-hidden": "true" }, "+"),
      " Add images",
    ),
  );
  strip.append(add);
  return () => {
    strip.hidden = !state.images.length;
    removeGone(strip);
    for (const image of state.images) {
      if (!items.has(image.id)) {
        items.set(image.id, makeItem(image));
        add.before(items.get(image.id));
      }
      update(items.get(image.id), image);
    }
  };
}

/** Takes away the elements of images that are gone; the focus goes to a neighbour. */
function removeGone(strip) {
  const ids = new Set(state.images.map((image) => image.id));
  for (const [id, item] of items) {
    if (ids.has(id)) continue;
    const hadFocus = item.contains(document.activeElement);
    const neighbour = item.nextElementSibling ?? strip.firstElementChild;
    item.remove();
    items.delete(id);
    if (hadFocus) (state.images.length ? neighbour.querySelector("button") : find("choose")).focus();
  }
}

function makeItem(image) {
  const select = () => change({ selected: image.id, pinned: null, pointed: null });
  const picture = make("img", {
    src: image.url,
    alt: "",
    error: () => picture.replaceWith(make("span", { class: "no-picture" }, "?")),
  });
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "thumbnail", title: image.file.name, click: select },
      picture,
      make("span", { class: "badge", "aria-hidden": "true" }),
    ),
    make(
      "button",
      {
        type: "button",
        class: "quiet-button remove",
        "aria-label": `Remove ${image.file.name}`,
        click: () => removeImage(image.id),
      },
      make("span", { "aria-hidden": "true" }, "×"),
    ),
  );
}

function update(item, image) {
  const [thumbnail] = item.children;
  const [text, words, kind] = describeStatus(image);
  thumbnail.setAttribute("aria-label", `${image.file.name}: ${words}`);
  thumbnail.setAttribute("aria-current", String(image.id === state.selected));
  const badge = thumbnail.querySelector(".badge");
  badge.className = `badge ${kind}`;
  badge.textContent = text;
  badge.hidden = !kind;
}

function describeStatus(image) {
  if (image.status === "running") return ["", "at work", "running"];
  if (image.status === "failed") return ["!", "failed", "failed"];
  if (image.status !== "done") return ["", "waiting", ""];
  return needsRun(image) ? ["…", "labels changed", "stale"] : ["✓", "done", "done"];
}
