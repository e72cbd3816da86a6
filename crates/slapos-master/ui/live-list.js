// A list that can be searched, filtered and continued, and that stays as long as it was when it is drawn again.

import { list } from './api.js';
import { h } from './dom.js';
import { setQuery } from './router.js';

const PAGE = 100;

/** Loads as many items as are shown. */
export function load(target, query, { state, signal }) {
  return list(target, query, state.wanted ?? PAGE, signal);
}

/** Shows a page more. */
export function more({ state, refresh }) {
  return () => {
    state.wanted = (state.wanted ?? PAGE) + PAGE;
    refresh();
  };
}

/**
 * The fields above a list; they write the address, so that it can be kept and sent.
 * `choices`: `[[name, label, [[value, words]]]]`.
 */
export function filters(context, hint, choices = []) {
  const { query, refresh, state } = context;
  let timer;
  const set = (name, value) => {
    query[name] = value;
    state.wanted = undefined;
    setQuery(query);
    refresh();
  };
  const typed = (event) => {
    clearTimeout(timer);
    const { value } = event.target;
    timer = setTimeout(() => set('search', value.trim()), 200);
  };
  return h('div', { class: 'filters', role: 'search' },
    h('input', { type: 'search', id: 'search', value: query.search ?? '', placeholder: hint, 'aria-label': hint, on: { input: typed } }),
    choices.map(([name, label, values]) => h('select', { id: `by-${name}`, 'aria-label': label, value: query[name] ?? '', on: { change: (event) => set(name, event.target.value) } },
      values.map(([value, words]) => h('option', { value }, words)))));
}

/** Whether the list is narrowed. */
export function narrowed({ query }) {
  return Object.values(query).some(Boolean);
}
