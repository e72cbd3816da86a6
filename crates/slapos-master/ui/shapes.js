// The few drawings of this dashboard: a shape for each kind of state, so that none is told by its
// colour alone, and the glyphs of buttons.

import { h, svg } from './dom.js';
import { stateLook } from './words.js';

const SHAPES = {
  disc: () => [svg('circle', { cx: 6, cy: 6, r: 4.5 })],
  ring: () => [svg('circle', { cx: 6, cy: 6, r: 4, fill: 'none', 'stroke-width': 1.5 })],
  half: () => [
    svg('circle', { cx: 6, cy: 6, r: 4.3, fill: 'none', 'stroke-width': 1.4 }),
    svg('path', { d: 'M6 1.7a4.3 4.3 0 0 1 0 8.6z', stroke: 'none' }),
  ],
  square: () => [svg('rect', { x: 2, y: 2, width: 8, height: 8, rx: 1, stroke: 'none' })],
  cross: () => [svg('path', { d: 'M2.5 2.5l7 7M9.5 2.5l-7 7', 'stroke-width': 1.8 })],
  alert: () => [svg('path', { d: 'M6 1L11.5 11H.5z', 'stroke-width': 1, 'stroke-linejoin': 'round' })],
};

/** A state: its shape, and words. */
export function status(state, words) {
  const [look, shape, usual] = stateLook(state);
  const drawing = svg('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' }, SHAPES[shape]());
  return h('span', { class: `status ${look}` }, drawing, h('span', null, words ?? usual));
}

const GLYPHS = {
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M3 13l1.5-1.5M11.5 4.5L13 3',
  menu: 'M2 4h12M2 8h12M2 12h12',
  close: 'M4 4l8 8M12 4l-8 8',
  again: 'M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3',
};

export function glyph(name) {
  return svg('svg', { class: 'glyph', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, svg('path', { d: GLYPHS[name] }));
}
