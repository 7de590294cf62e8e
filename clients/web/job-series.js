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

/** Amounts that came bit by bit, as a rate: sums over stretches of time that double as the time goes on. */
export class RateSeries {
  constructor(most = 120, stretchS = 5) {
    this.most = most;
    this.stretchS = stretchS;
    this.sums = [];
    this.end = 0;
  }

  /**
   * So much came evenly between two moments.
   * @param {number} from seconds since the beginning
   * @param {number} to
   * @param {number} amount
   */
  add(from, to, amount) {
    if (!(from >= 0 && to >= from) || !Number.isFinite(amount)) return;
    while (to >= this.most * this.stretchS) this.halve();
    const [first, last] = [from, to].map((moment) => Math.floor(moment / this.stretchS));
    while (this.sums.length <= last) this.sums.push(0);
    for (let place = first; place <= last; place += 1) {
      const start = Math.max(from, place * this.stretchS);
      const stop = Math.min(to, (place + 1) * this.stretchS);
      this.sums[place] += to > from ? (amount * (stop - start)) / (to - from) : amount;
    }
    this.end = Math.max(this.end, to);
  }

  /** The rate of each stretch, at its middle; the last one counts once half of it is over. */
  list() {
    const points = this.sums.map((sum, place) => {
      const start = place * this.stretchS;
      const length = Math.min(this.stretchS, this.end - start);
      return [start + length / 2, sum / length, length];
    });
    return points.filter(([, , length]) => length >= this.stretchS / 2).map(([x, y]) => [x, y]);
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
