/** How fast a job goes, and how a training learns, as curves that take bounded room. */
import { makeLineChart } from "./charts.js";
import { make } from "./dom.js";
import { BoundedSeries, RateSeries } from "./job-series.js";
import { formatSeconds } from "./job-words.js";

const MAX_LOSSES = 5;
const MINUTE = 60;

/**
 * A section of curves, fed with events and with what is polled.
 * @returns {{element: HTMLElement, take: (event: object) => void, show: (job: object) => void}}
 */
export function makeCurves() {
  const element = make("section", { class: "charts", "aria-label": "Curves", hidden: true });
  const speed = new RateSeries();
  const polled = new BoundedSeries();
  const trained = new BoundedSeries();
  const losses = new Map([["loss", new BoundedSeries()]]);
  const rates = new BoundedSeries();
  const measured = new Map([
    ["AP", new BoundedSeries()],
    ["AP50", new BoundedSeries()],
  ]);
  const charts = new Map(); // title -> chart
  let [began, batch, isNew] = [null, null, false];
  let counted = 0; // up to when images are counted; an attempt begins to count anew

  const since = (time) => {
    const moment = Date.parse(time) / 1000;
    began ??= moment;
    return moment - began;
  };
  const take = (event) => {
    isNew = true;
    const seconds = since(event.time);
    if (event.kind === "shard") speed.add(counted, seconds, event.ok + event.failed);
    if (event.kind === "shard" || event.kind === "state") counted = seconds;
    if (event.kind === "measured" && event.ap !== null) {
      measured.get("AP").add(event.step, event.ap);
      measured.get("AP50").add(event.step, event.ap50);
    }
    if (event.kind !== "metrics") return;
    for (const [name, value] of [["loss", event.loss], ...Object.entries(event.losses ?? {})]) {
      if (!losses.has(name) && losses.size <= MAX_LOSSES) losses.set(name, new BoundedSeries());
      losses.get(name)?.add(event.step, value);
    }
    rates.add(event.step, event.lr);
    trained.add(seconds, 1 / event.step_s);
  };
  const listSpeed = (job) => {
    if (speed.sums.length > 1) return speed.list();
    batch = job.progress.parts ? job.progress.total / job.progress.parts : batch;
    if (trained.points.length) return trained.list().map(([x, steps]) => [x, steps * (batch ?? 1)]);
    return polled.list();
  };
  const put = (options, lines) => {
    if (!lines.some((line) => line.points.length > 1)) return;
    if (!charts.has(options.title)) {
      charts.set(options.title, makeLineChart({ ...options, series: lines }));
      element.append(make("div", { class: "card" }, charts.get(options.title).element));
      element.hidden = false;
    }
    charts.get(options.title).update(lines);
  };
  const show = (job) => {
    if (job.state === "RUNNING" && job.progress.per_s) {
      polled.add(since(job.updated), job.progress.per_s);
      isNew = true;
    }
    if (!isNew) return;
    isNew = false;
    const minutes = listSpeed(job).map(([x, y]) => [x / MINUTE, y]);
    put({ title: "Throughput", xLabel: "since the start", yLabel: "images/s", formatX: formatMinutes }, [
      { name: "images/s", points: minutes },
    ]);
    put({ title: "Loss", xLabel: "step", yLabel: "loss" }, listSeries(losses));
    put({ title: "Average precision on the test images", xLabel: "step", yLabel: "AP" }, listSeries(measured));
    put({ title: "Learning rate", xLabel: "step", yLabel: "rate" }, [{ name: "rate", points: rates.list() }]);
  };
  return { element, take, show };
}

function listSeries(series) {
  return [...series].map(([name, one]) => ({ name, points: one.list() }));
}

function formatMinutes(minutes) {
  return minutes ? formatSeconds(MINUTE * minutes) : "0";
}
