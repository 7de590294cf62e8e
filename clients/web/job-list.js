/** The jobs that are known, newest first, kept in step with the service page by page. */
import { ask } from "./api.js";

const FIRST = 100;
const PAGE = 200;

/**
 * @typedef {{id: string, kind: string, state: string, created: string, attempt: number}} JobLine
 */

/** The list under one filter; asks for pages, and holds no elements. */
export class JobList {
  /** @param {{kind: string, state: string}} filter empty texts stand for all */
  constructor(filter) {
    this.filter = filter;
    /** @type {JobLine[]} */
    this.items = [];
    /** What the next older page is asked for with; null at the end. */
    this.cursor = null;
    this.isLoaded = false;
    this.isAsking = false;
    this.ends = []; // where the pages end, with their cursors
  }

  /** Whether all jobs are known. */
  get isWhole() {
    return this.isLoaded && this.cursor === null;
  }

  /** Asks for the newest jobs, and takes what is new. */
  async refresh() {
    const { items, next_cursor: cursor } = await this.ask(null, FIRST);
    const known = new Set(this.items.map((one) => one.id));
    const overlaps = items.some((one) => known.has(one.id));
    if (!this.isLoaded || cursor === null || !overlaps) this.restart(items, cursor);
    else this.replace(null, items);
    this.isLoaded = true;
  }

  /** Asks for the next older jobs, unless that is under way or all are known. */
  async loadMore() {
    if (this.isAsking || this.cursor === null) return;
    this.isAsking = true;
    try {
      const { items, next_cursor: next } = await this.ask(this.cursor, PAGE);
      const known = new Set(this.items.map((one) => one.id));
      this.items = [...this.items, ...items.filter((one) => !known.has(one.id))];
      this.cursor = next;
      this.noteEnd(items, next);
    } finally {
      this.isAsking = false;
    }
  }

  /** Asks again for the page in which the job at this place lies; newer ones are seen to by `refresh`. */
  async refreshAround(place) {
    const line = this.items[place];
    const end = line && this.ends.findLast((one) => isNewer(one.item, line));
    if (!end) return;
    const { items, next_cursor: cursor } = await this.ask(end.cursor, PAGE);
    if (items.length) this.replace(end.item, items, cursor === null);
  }

  /** Takes the state of a job as it was just read. */
  note(job) {
    const place = this.items.findIndex((one) => one.id === job.id);
    if (place < 0) return;
    const { state, attempt } = job;
    this.items[place] = { ...this.items[place], state, attempt };
  }

  ask(cursor, limit) {
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, value] of Object.entries({ ...this.filter, cursor })) if (value) query.set(name, value);
    return ask(`/v1/jobs?${query}`);
  }

  restart(items, cursor) {
    this.items = items;
    this.cursor = cursor;
    this.ends = [];
    this.noteEnd(items, cursor);
  }

  /** What is known from below `above` down to the last of `items` becomes `items`. */
  replace(above, items, isEnd = false) {
    const last = items[items.length - 1];
    const newer = above ? this.items.filter((one) => !isNewer(above, one)) : [];
    const older = isEnd ? [] : this.items.filter((one) => isNewer(last, one));
    this.items = [...newer, ...items, ...older];
    if (isEnd) this.cursor = null;
  }

  noteEnd(items, cursor) {
    if (cursor !== null && items.length) this.ends.push({ item: items[items.length - 1], cursor });
  }
}

function isNewer(one, other) {
  return one.created === other.created ? one.id > other.id : one.created > other.created;
}
