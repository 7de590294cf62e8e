"""Lists that come page by page and work that leaves room for frames: modules alone, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.web_builders import open_modules

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_lists_are_merged_in_order(browser: Browser):
    page = open_modules(browser)
    found = page.evaluate(
        """async () => {
          const { makeMergedList } = await import("/web/merged-list.js");
          const list = (items) => async (cursor) => {
            const start = Number(cursor ?? 0);
            const end = start + 2;
            return { items: items.slice(start, end), next_cursor: end < items.length ? String(end) : null };
          };
          const next = makeMergedList([list([9, 5, 4]), list([8, 7, 6, 1]), list([])], (a, b) => b - a, 3);
          return [await next(), await next(), await next()];
        }"""
    )
    assert [one["items"] for one in found] == [[9, 8, 7], [6, 5, 4], [1]]
    assert [one["isLast"] for one in found] == [False, False, True]


def test_long_work_leaves_frames_between(browser: Browser):
    page = open_modules(browser)
    slices = page.evaluate(
        """async () => {
          const { runInSlices } = await import("/web/time-slices.js");
          let [frame, counting] = [0, true];
          const count = () => { frame += 1; if (counting) requestAnimationFrame(count); };
          requestAnimationFrame(count);
          const frames = [];
          function* work() {
            for (let step = 0; step < 60; step += 1) {
              const end = performance.now() + 2;
              while (performance.now() < end);
              frames.push(frame);
              yield;
            }
          }
          const ended = await runInSlices(work(), new AbortController().signal);
          counting = false;
          return [ended, Math.max(...frames.map((one) => frames.filter((other) => other === one).length))];
        }"""
    )
    assert slices[0] is True
    assert slices[1] <= 5  # steps of 2 ms in one frame
