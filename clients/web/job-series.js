/** Points over time that take bounded room, however long they come. */
import { MAX_POINTS } from "./chart-scales.js";

/** A line whose neighbours are merged two by two whenever it has too many points. */
export class BoundedSeries {
  constructor() {
    /** @type {[number, number][]} */
    this.points = [];
    this.size = 1; // how many given points one of these stands for
    this.open = [];
    this.newest = null;
  }

  /**
   * Takes the next point.
   * @param {number} x
   * @param {number} y
   */
  add(x, y) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    this.newest = [x, y];
    this.open.push(this.newest);
    if (this.open.length < this.size) return;
    this.points.push(average(this.open));
    this.open = [];
    if (this.points.length >= MAX_POINTS) this.halve();
  }

  /** All points, the newest one as it came. */
  list() {
    return this.size > 1 ? [...this.points, this.newest] : this.points;
  }

  halve() {
    const pairs = Array.from({ length: Math.floor(this.points.length / 2) }, (_, place) =>
      this.points.slice(2 * place, 2 * place + 2),
    );
    this.points = pairs.map(average);
    this.size *= 2;
  }
}

/** Amounts that came at moments, as a rate: sums over stretches of time that double as the time goes on. */
export class RateSeries {
  constructor(most = 120, stretchS = 5) {
    this.most = most;
    this.stretchS = stretchS;
    this.sums = [];
  }

  /**
   * So much came at a moment.
   * @param {number} seconds since the beginning
   * @param {number} amount
   */
  add(seconds, amount) {
    if (!(seconds >= 0) || !Number.isFinite(amount)) return;
    while (seconds >= this.most * this.stretchS) this.halve();
    const place = Math.floor(seconds / this.stretchS);
    while (this.sums.length <= place) this.sums.push(0);
    this.sums[place] += amount;
  }

  /** The rate of each stretch, at its middle. */
  list() {
    return this.sums.map((sum, place) => [(place + 0.5) * this.stretchS, sum / this.stretchS]);
  }

  halve() {
    this.stretchS *= 2;
    this.sums = Array.from({ length: Math.ceil(this.sums.length / 2) }, (_, place) =>
      this.sums.slice(2 * place, 2 * place + 2).reduce((one, other) => one + other, 0),
    );
  }
}

function average(points) {
  return [0, 1].map((axis) => points.reduce((sum, one) => sum + one[axis], 0) / points.length);
}
