// One Software Release: where it is built, how far, and the end of the log as it grows.

import { list, textOf } from '../api.js';
import { h } from '../dom.js';
import { body, card, copyButton, empty, head, place, view } from '../parts.js';
import { mayChange } from '../reach.js';
import { shortSoftware, softwareState } from '../words.js';
import { softwareTable, supply } from './software-parts.js';

/** Whose log is shown: the chosen one, else one that builds, fails, or is there. */
function choose(items, chosen) {
  const first = (state) => items.find((item) => softwareState(item) === state);
  return items.find(({ computer }) => computer === chosen) ?? first('building') ?? first('error') ?? items[0];
}

function logCard({ shown, log, items }, { state, refresh }) {
  const pick = h('select', { id: 'log-of', 'aria-label': 'Computer', value: shown.computer, on: { change: (event) => { state.computer = event.target.value; refresh(); } } },
    items.map(({ computer }) => h('option', { value: computer }, computer)));
  return card('Build log', { note: 'its end', actions: [items.length > 1 && pick, log && copyButton('the log', log)] },
    body(log ? h('pre', { class: 'log', id: 'log', tabindex: '0', role: 'region', 'aria-label': 'End of the build log' }, log)
        : h('p', { class: 'soft' }, `${shown.computer} has told of no log.`)));
}

export default {
  title: ({ url }) => shortSoftware(url),
  async load({ params, state, signal }) {
    const { items } = await list('/api/v1/software', { search: params.url }, 500, signal);
    const mine = items.filter(({ url }) => url === params.url);
    const shown = choose(mine, state.computer);
    const log = shown && await textOf('/api/v1/software/log', { computer: shown.computer, url: params.url }, signal);
    return { items: mine, shown, log };
  },
  draw(data, context) {
    const { url } = context.params;
    const request = `#/request?${new URLSearchParams({ software: url })}`;
    return view(
      head(shortSoftware(url), {
        crumbs: h('a', { href: place('software') }, 'Software Releases'),
        actions: mayChange(context.me) && [h('a', { class: 'button main', href: request }, 'Request an instance'), h('button', { type: 'button', on: { click: () => supply(context, { url }) } }, 'Supply…')],
      }),
      h('p', { class: 'mono' }, url, ' ', copyButton('the URL', url)),
      h('section', { class: 'card' }, data.items.length === 0
        ? empty('It is wanted on no computer.', `slapos supply ${url} COMPUTER`)
        : softwareTable(data.items, context, { hideSoftware: true })),
      data.shown && logCard(data, context),
    );
  },
  wants: (change, data, { params }) => change.software === params.url,
};
