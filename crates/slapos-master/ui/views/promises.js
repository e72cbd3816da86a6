// The promises of an instance: how they are, and how they were.

import { h } from '../dom.js';
import { card, empty, time } from '../parts.js';
import { durations, inWords, span, states } from '../plot.js';
import { status } from '../shapes.js';
import { count, exact } from '../words.js';

const RANGES = [['', 'all that is kept'], ['3600', 'last hour'], ['86400', 'last day'], ['604800', 'last week']];

/** The beginning of the chosen range, as the API wants it. */
export function since(state) {
  return state.range ? new Date(Date.now() - Number(state.range) * 1000).toISOString() : undefined;
}

function one(promise, range) {
  const history = promise.history ?? [];
  const curve = durations(history, range);
  return h('div', { class: 'promise' },
    h('div', null, status(promise.failed ? 'error' : 'ok', promise.failed ? 'broken' : 'holds'), ' ', h('strong', null, promise.name),
      h('div', { class: 'soft small' }, 'checked ', time(promise.at))),
    h('div', null, states(history, range), curve?.node,
      h('div', { class: 'soft small' }, inWords(history, range), curve && ` Took ${curve.most.toFixed(2)} s at most.`)),
    promise.message && h('p', { class: 'said mono' }, promise.message));
}

/** The card of promises. */
export function promisesCard(promises, { state, refresh }) {
  const pick = h('select', { id: 'range', 'aria-label': 'Range of time', value: state.range ?? '', on: { change: (event) => { state.range = event.target.value; refresh(); } } },
    RANGES.map(([value, words]) => h('option', { value }, words)));
  const range = span(promises);
  const failed = promises.filter((promise) => promise.failed).length;
  const sorted = [...promises].sort((first, second) => Number(second.failed) - Number(first.failed) || first.name.localeCompare(second.name));
  const note = promises.length > 0 ? (failed > 0 ? `${failed} of ${promises.length} broken` : `${count(promises.length, 'promise')}, all hold`) : null;
  return card('Promises', { note, actions: (promises.length > 0 || state.range) && pick },
    promises.length === 0
      ? empty('No promise was told of. The computer tells them after it processed the instance.')
      : [sorted.map((promise) => one(promise, range)), h('footer', { class: 'soft small' }, `From ${exact(new Date(range.from).toISOString())} until now; tall and red is broken.`)]);
}
