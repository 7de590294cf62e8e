/** A text field with a list of suggestions, to use with the keyboard or the pointer (ARIA: combobox with listbox). */
import { make } from "./dom.js";

const PAUSE_MS = 120; // after the last letter, before the list is asked for

/**
 * Makes an input of role `combobox` work with its list.
 * @template T
 * @param {object} parts
 * @param {HTMLInputElement} parts.input
 * @param {HTMLElement} parts.popup what opens and closes
 * @param {HTMLElement} parts.list of role `listbox`
 * @param {HTMLElement} parts.message what is said instead of a list
 * @param {(text: string, signal: AbortSignal) => Promise<{options: T[], message: string}>} parts.search
 * @param {(option: T) => (Node | string)[]} parts.describe
 * @param {(option: T) => void} parts.choose
 * @param {() => void} parts.erase Backspace in the empty field
 */
export function makeCombobox({ input, popup, list, message, search, describe, choose, erase }) {
  let options = [];
  let active = -1;
  let asking = new AbortController();
  let pause = 0;

  function setOpen(isOpen) {
    popup.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen && options.length > 0));
    if (!isOpen) setActive(-1);
  }

  function setActive(place) {
    active = place;
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === active)));
    const item = list.children[active];
    if (item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function show(found) {
    options = found.options;
    list.replaceChildren(...options.map((option, place) => makeOption(option, place)));
    list.hidden = !options.length;
    message.textContent = found.message;
    message.hidden = !found.message;
    setOpen(options.length > 0 || Boolean(found.message));
    setActive(-1);
  }

  function makeOption(option, place) {
    return make(
      "li",
      { id: `${list.id}-${place}`, role: "option", "aria-selected": "false", click: () => take(place) },
      ...describe(option),
    );
  }

  function take(place) {
    const option = options[place];
    input.value = "";
    close();
    choose(option);
  }

  function close() {
    clearTimeout(pause);
    asking.abort();
    setOpen(false);
  }

  function look(delay) {
    clearTimeout(pause);
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    pause = setTimeout(async () => {
      const found = await search(input.value.trim(), signal).catch((error) => ({
        options: [],
        message: error.message,
      }));
      if (!signal.aborted) show(found);
    }, delay);
  }

  function move(step) {
    if (popup.hidden) look(0);
    else if (options.length)
      setActive((active + step + options.length + (active < 0 && step < 0 ? 1 : 0)) % options.length);
  }

  function enter() {
    if (popup.hidden && !input.value.trim()) return false; // the form is sent
    if (!popup.hidden && options.length) take(Math.max(active, 0));
    return true;
  }

  const keys = {
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: enter,
    Escape: () => {
      if (popup.hidden) input.value = "";
      close();
    },
    Backspace: () => {
      if (input.value) return false;
      erase();
      return true;
    },
  };

  input.addEventListener("input", () => look(PAUSE_MS));
  input.addEventListener("keydown", (event) => {
    const isHandled = !event.isComposing && event.key in keys && keys[event.key]() !== false;
    if (isHandled) event.preventDefault();
  });
  input.addEventListener("click", () => popup.hidden && look(0));
  input.addEventListener("blur", close);
  popup.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in the field
  close();
}
