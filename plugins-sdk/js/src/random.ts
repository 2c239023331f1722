// `Math.random` with a seed of each instance's own. The engine's is the build's: every instance would draw the same numbers.

import about from "gatehouse:plugin/about@0.1.0";

let isSeeded = false;

/** Seeds it from the id of the first request that the instance sees, which is random. Not for secrets: clients learn ids. */
export function seed(): void {
  if (isSeeded) return;
  isSeeded = true;
  const id = about.requestId();
  let [a, b, c, d] = [0, 8, 16, 24].map((place) => Number.parseInt(id.slice(place, place + 8), 16)) as [number, number, number, number];
  // Chris Doty-Humphrey's sfc32, 32 bits at a time.
  const draw = () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let turn = 0; turn < 12; turn++) draw();
  Math.random = () => ((draw() >>> 5) * 0x4000000 + (draw() >>> 6)) / 0x20000000000000;
}
