/** Long work in small slices between the frames, so that the page never stalls. */

const SLICE_MS = 8; // of each frame, for all work together; the last step may take a few ms more

let end = 0; // of the slice of this frame; null before it begins
let frame = 0;

/**
 * Runs the steps of a generator; gives whether it came to its end.
 * @param {Iterator<void>} steps
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>}
 */
export async function runInSlices(steps, signal) {
  for (;;) {
    while (performance.now() >= end) {
      await waitForFrame();
      end ??= performance.now() + SLICE_MS;
    }
    if (signal.aborted) return false;
    if (steps.next().done) return true;
  }
}

function waitForFrame() {
  return new Promise((resolve) => {
    requestAnimationFrame((now) => {
      if (now !== frame) [frame, end] = [now, null];
      setTimeout(resolve);
    });
  });
}
