// All computers.

import { h } from '../dom.js';
import { empty, head, paged, place, presence, time, view } from '../parts.js';
import { filters, load, more, narrowed } from '../live-list.js';
import { mayChange } from '../reach.js';
import { status } from '../shapes.js';
import { addComputer } from './computer-actions.js';

const SCOPES = { open: 'open', closed: 'closed', drain: 'draining' };

export function labels(of) {
  return h('span', { class: 'tags' }, Object.entries(of ?? {}).map(([key, value]) => h('span', { class: 'tag' }, value ? `${key}=${value}` : key)));
}

export function scope(word) {
  return SCOPES[word] ?? word ?? 'open';
}

function built({ total = 0, error = 0, building = 0 } = {}) {
  if (error > 0) return status('error', `${error} of ${total} failed`);
  if (building > 0) return status('building', `${building} of ${total} building`);
  return total || null;
}

const COLUMNS = [
  { name: 'Computer', cell: (item) => [h('a', { href: place('computers', item.id) }, item.id), item.title && item.title !== item.id && h('span', { class: 'under' }, item.title)] },
  { name: 'State', bare: true, cell: presence },
  { name: 'Last heard of', cell: ({ last_contact_at: at }) => time(at) },
  { name: 'Scope', cell: ({ allocation_scope: word }) => (word && word !== 'open' ? status('stopped', scope(word)) : scope(word)) },
  { name: 'In use', class: 'number', cell: ({ partitions }) => partitions && `${partitions.busy} / ${partitions.total}` },
  { name: 'Software', cell: ({ software }) => built(software) },
  { name: 'Project', cell: ({ project }) => project },
  { name: 'Labels', class: 'wide', cell: (item) => (Object.keys(item.labels ?? {}).length > 0 ? labels(item.labels) : null) },
];

export default {
  title: () => 'Computers',
  load: (context) => load('/api/v1/computers', context.query, context),
  draw(page, context) {
    const add = !mayChange(context.me) ? null : h('button', { type: 'button', on: { click: () => addComputer(context) } }, 'Add a computer');
    const none = narrowed(context)
      ? empty('No computer fits.')
      : empty('No computer is known yet. On the machine itself, bring it in and tell its partitions:', 'slapos node register && slapos node format --now');
    return view(
      head('Computers', { actions: add }),
      filters(context, 'Search computers', [['state', 'State', [['', 'In any state'], ['ok', 'Heard of lately'], ['silent', 'Silent'], ['never', 'Never seen']]]]),
      h('section', { class: 'card' }, page.items.length === 0 ? none : paged('Computers', COLUMNS, page, more(context))),
    );
  },
  // Signs of life too: they tell who is silent.
  wants: (change) => change.kind !== 'metrics' && change.kind !== 'progress',
};
