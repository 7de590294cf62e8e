/** Commands to copy. */
import { announce, make } from "./dom.js";

const SAID_MS = 2000;

/**
 * A command with a button that copies it.
 * @param {string} name
 * @returns {{element: HTMLElement, show: (text: string, note?: string) => void}}
 */
export function makeCommand(name) {
  const text = make("pre", { class: "text", tabindex: 0, role: "region", "aria-label": `Command for ${name}` });
  const note = make("p", { class: "hint quiet", hidden: true });
  const button = make("button", { type: "button", class: "link", click: () => copy(button, text, name) }, "Copy");
  button.setAttribute("aria-label", `Copy the command for ${name}`);
  const title = make("div", { class: "headline" }, make("h3", {}, name), button);
  return {
    element: make("div", { class: "command" }, title, text, note),
    show: (command, remark = "") => {
      text.textContent = command;
      note.textContent = remark;
      note.hidden = !remark;
    },
  };
}

async function copy(button, text, name) {
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    announce(`The command for ${name} is copied`);
  } catch {
    getSelection().selectAllChildren(text); // the browser keeps its clipboard to itself
    button.textContent = "Press Ctrl C";
  }
  setTimeout(() => (button.textContent = "Copy"), SAID_MS);
}
