/** The images of a job that failed: by type, and one by one with their pictures. */
import { ProblemError, ask } from "./api.js";
import { make, onlyWhenChanged } from "./dom.js";
import { makeButton } from "./problem-cards.js";
import { makeThumbnail } from "./thumbnails.js";
import { count } from "./words.js";

const PAGE = 24;
const MAX_TYPES = 20;

/**
 * A section of failures; a page of them is there at a time.
 * @param {string} job
 * @returns {{element: HTMLElement, show: (job: object) => void}}
 */
export function makeFailures(job) {
  const amount = make("p", { class: "quiet number" });
  const types = make("ul", { class: "chips" });
  const list = make("ul", { class: "failures" });
  const pages = make("div", { class: "actions" });
  const element = make(
    "section",
    { class: "section", hidden: true, "aria-labelledby": "failures-heading" },
    make("div", { class: "headline" }, make("h2", { id: "failures-heading" }, "Failed images"), amount),
    types,
    list,
    pages,
  );
  const trail = [null]; // cursors of the pages up to the one that is shown

  const load = async () => {
    const cursor = trail[trail.length - 1];
    const query = new URLSearchParams({ limit: String(PAGE), ...(cursor && { cursor }) });
    try {
      const page = await ask(`/v1/jobs/${encodeURIComponent(job)}/failures?${query}`);
      list.replaceChildren(...page.items.map((item) => makeFailure(job, item)));
      pages.replaceChildren(...makeTurners(page.next_cursor));
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      list.replaceChildren(make("li", { class: "quiet" }, `They could not be listed: ${error.problem.title}.`));
      pages.replaceChildren(makeButton("Try again", load));
    }
  };
  const makeTurners = (next) => {
    const turners = [];
    const back = () => trail.pop() !== undefined && load();
    if (trail.length > 1) turners.push(makeButton("Previous images", back));
    const on = () => trail.push(next) && load();
    if (next !== null) turners.push(makeButton("More images", on));
    return turners;
  };
  const show = onlyWhenChanged(describeFailures, ({ progress }) => {
    element.hidden = !progress.failed;
    if (element.hidden) return;
    amount.textContent = count(progress.failed, "image");
    const byType = Object.entries(progress.failures_by_type).sort((one, other) => other[1] - one[1]);
    types.replaceChildren(...byType.slice(0, MAX_TYPES).map(makeType));
    load();
  });
  return { element, show };
}

/** New failures are listed with each shard, not with each image. */
function describeFailures({ progress, state }) {
  return JSON.stringify([progress.failed > 0, progress.parts_done, state]);
}

function makeType([type, number]) {
  return make("li", {}, make("code", { class: "text" }, type), ` ${number.toLocaleString("en")}`);
}

function makeFailure(job, { number, key, error_type: type, message }) {
  const path = `/v1/jobs/${encodeURIComponent(job)}/failures/${number}/file?side=256`;
  const picture = Number.isInteger(number) ? [makeThumbnail(path, key, { width: 1, height: 1 })] : [];
  const words = make(
    "div",
    { class: "section" },
    make("p", { class: "text key-text" }, key),
    make("p", { class: "hint quiet text" }, make("code", {}, type), ` ${message}`),
  );
  return make("li", {}, ...picture, words);
}
