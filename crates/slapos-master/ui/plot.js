// Plots of promises over time: when each held, and how long it took. Drawn as SVG; what they show is also said in words.

import { svg } from './dom.js';
import { count, exact } from './words.js';

const WIDTH = 600;
const HEIGHT = 24;
const CURVE = 26;

/** From when to when the histories of some promises reach; pure. */
export function span(promises, now = Date.now()) {
  const times = promises.flatMap(({ history }) => (history ?? []).map(({ at }) => Date.parse(at))).filter(Number.isFinite);
  const from = times.length > 0 ? Math.min(...times) : now - 3_600_000;
  return { from, to: Math.max(now, from + 60_000) };
}

/** The history as stretches of time in one state: `[{from, to, failed}]`; pure. */
export function stretches(history, { to }) {
  const points = history.map(({ at, failed }) => ({ at: Date.parse(at), failed })).filter(({ at }) => Number.isFinite(at)).sort((one, other) => one.at - other.at);
  const result = [];
  for (const [index, { at, failed }] of points.entries()) {
    const until = points[index + 1]?.at ?? to;
    const last = result.at(-1);
    if (last && last.failed === failed) last.to = until;
    else result.push({ from: at, to: until, failed });
  }
  return result;
}

/** What the plot of states shows, in words. */
export function inWords(history, range) {
  const parts = stretches(history, range);
  const broken = parts.filter(({ failed }) => failed).length;
  if (history.length === 0) return 'Nothing was told yet.';
  if (history.length === 1) return broken === 0 ? 'Held at the only check.' : 'Broken at the only check.';
  return broken === 0 ? `Held at all of ${count(history.length, 'check')}.` : `Broken ${count(broken, 'time')} in ${count(history.length, 'check')}; ${history.filter(({ failed }) => failed).length} of them failed.`;
}

/** When a promise held: low where it did, high where it did not. */
export function states(history, range) {
  const scale = (time) => ((time - range.from) / (range.to - range.from)) * WIDTH;
  const bars = stretches(history, range).map(({ from, to, failed }) => {
    const [left, right] = [scale(from), scale(to)];
    return svg('rect', { class: failed ? 'failed' : 'ok', x: left.toFixed(1), width: Math.max(2, right - left).toFixed(1), y: failed ? 0 : HEIGHT / 2, height: failed ? HEIGHT : HEIGHT / 2 },
      svg('title', null, `${failed ? 'Broken' : 'Held'} from ${exact(new Date(from).toISOString())}`));
  });
  return svg('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', height: HEIGHT, role: 'img', 'aria-label': inWords(history, range) },
    bars, svg('line', { class: 'axis', x1: 0, x2: WIDTH, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5 }));
}

/** How long the checks took; `null` when none says. */
export function durations(history, range) {
  const points = history.filter(({ seconds }) => Number.isFinite(seconds)).map(({ at, seconds }) => [Date.parse(at), seconds]).sort(([one], [other]) => one - other);
  if (points.length < 2) return null;
  const most = Math.max(...points.map(([, seconds]) => seconds), 0.001);
  const path = points.map(([at, seconds]) => `${(((at - range.from) / (range.to - range.from)) * WIDTH).toFixed(1)},${(CURVE - 2 - (seconds / most) * (CURVE - 4)).toFixed(1)}`).join(' ');
  return {
    most,
    node: svg('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${CURVE}`, preserveAspectRatio: 'none', height: CURVE, role: 'img', 'aria-label': `Checks took ${most.toFixed(2)} seconds at most.` },
      svg('polyline', { class: 'curve', points: path })),
  };
}
