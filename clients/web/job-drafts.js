/** What was filled in, kept until the tab is closed, so that a reload or another page loses nothing. */

const DRAFTS = "dap-new-job";

/**
 * @typedef {object} Drafts
 * @property {string} kind that was shown last
 * @property {Record<string, Record<string, unknown>>} values by kind
 * @property {{body: string, key: string} | null} sent the last request, and the key it was sent under
 */

/**
 * The drafts of this tab.
 * @returns {Drafts}
 */
export function readDrafts() {
  try {
    const found = JSON.parse(sessionStorage.getItem(DRAFTS) ?? "{}");
    return { kind: String(found.kind ?? ""), values: found.values ?? {}, sent: found.sent ?? null };
  } catch {
    return { kind: "", values: {}, sent: null };
  }
}

/**
 * Keeps the drafts.
 * @param {Drafts} drafts
 */
export function keepDrafts(drafts) {
  try {
    sessionStorage.setItem(DRAFTS, JSON.stringify(drafts));
  } catch {
    // without room they last as long as the page
  }
}

/**
 * The key for a request: the same as long as nothing in it changes, so that sending it twice makes one job.
 * @param {Drafts} drafts
 * @param {string} body
 * @returns {string}
 */
export function chooseKey(drafts, body) {
  if (drafts.sent?.body !== body) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    drafts.sent = { body, key: `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}` };
    keepDrafts(drafts);
  }
  return drafts.sent.key;
}
