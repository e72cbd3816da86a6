// Instances: as trees, or one by one.

import { list } from '../api.js';
import { h } from '../dom.js';
import { computer, empty, head, instance, linked, paged, place, software, table, time, view } from '../parts.js';
import { filters, load, more } from '../live-list.js';
import { mayChange } from '../reach.js';
import { status } from '../shapes.js';
import { count, instanceState, isPulse } from '../words.js';

const STATES = [['', 'In any state'], ['started', 'Started'], ['stopped', 'Stopped'], ['destroyed', 'Destroyed'], ['error', 'Told an error']];

/** How many of a tree are in which state. */
function members({ instances, states, failed }) {
  return [
    count(instances, 'instance'),
    h('span', { class: 'under' }, Object.entries(states ?? {}).filter(([, number]) => number > 0).map(([state, number]) => `${number} ${state}`).join(', ')),
    failed > 0 && h('span', { class: 'under' }, status('error', `${failed} failing`)),
  ];
}

const TREES = [
  { name: 'Tree', cell: ({ title, root }) => (root ? h('a', { href: place('instances', root.guid) }, title) : title) },
  { name: 'State', bare: true, cell: ({ root }) => root && status(instanceState(root)) },
  { name: 'Software', bare: true, cell: ({ root }, items) => root && [software(root.software_release, items.map((item) => item.root?.software_release).filter(Boolean)), h('span', { class: 'under' }, root.software_type)] },
  { name: 'Members', class: 'wide', bare: true, cell: members },
  { name: 'Computer', cell: ({ root }) => root?.computer && computer(root.computer) },
  { name: 'Project', cell: ({ project }) => project },
  { name: 'Changed', cell: ({ root }) => time(root?.changed_at) },
];

/** Columns for instances one by one. */
export const COLUMNS = [
  { name: 'Instance', cell: (item) => [instance(item), item.shared && [' ', h('span', { class: 'tag' }, 'shared')], item.orphan_since && [' ', h('span', { class: 'tag' }, 'forgotten')], !item.root && item.tree && h('span', { class: 'under' }, 'of ', item.tree.title)] },
  { name: 'State', bare: true, cell: (item) => status(instanceState(item)) },
  { name: 'Software', bare: true, cell: (item, items) => [software(item.software_release, items.map((one) => one.software_release)), h('span', { class: 'under' }, item.software_type)] },
  { name: 'Place', class: 'wide', cell: (item) => item.computer && [computer(item.computer), ' ', h('span', { class: 'soft' }, item.partition)] },
  { name: 'Changed', cell: ({ changed_at: at }) => time(at) },
];

/** Of those that other Masters serve. */
const ELSEWHERE = [
  { name: 'Instance', cell: (item) => [item.title, item.shared && [' ', h('span', { class: 'tag' }, 'shared')], !item.root && h('span', { class: 'under' }, 'of ', item.tree.title)] },
  { name: 'Software', bare: true, cell: (item, items) => [software(item.software_release, items.map((one) => one.software_release)), h('span', { class: 'under' }, item.software_type)] },
  { name: 'Master', cell: (item) => [linked(item.master_url), h('span', { class: 'under' }, 'there ', item.title_there)] },
  { name: 'Project', cell: ({ project }) => project },
  { name: 'Asked', cell: ({ asked_at: at }) => time(at) },
];

/** How many of them are shown; who has more searches. */
const FEW = 100;

function elsewhere({ items, next }) {
  if (items.length === 0) return null;
  return h('section', { class: 'card' }, h('header', null, h('h2', null, 'Served by other Masters')), table('Instances that other Masters serve', ELSEWHERE, items),
    next && h('footer', null, h('span', { class: 'soft small' }, `The first ${items.length} are shown: search for others.`)));
}

function kinds(context) {
  const one = (kind, words) => h('a', { class: 'button', href: kind ? '#/instances?kind=all' : '#/instances', 'aria-current': (context.query.kind ?? '') === kind ? 'true' : null }, words);
  return [one('', 'Trees'), one('all', 'One by one')];
}

/** Trees are told to people. */
function oneByOne({ query, me }) {
  return query.kind === 'all' || !mayChange(me);
}

export default {
  title: () => 'Instances',
  async load(context) {
    const { kind: _kind, ...query } = context.query;
    const { search } = query;
    const [page, others] = await Promise.all([
      oneByOne(context) ? load('/api/v1/instances', query, context) : load('/api/v1/trees', { search }, context),
      // Their state is known there.
      query.state || !mayChange(context.me) ? { items: [], next: null } : list('/api/v1/forwarded', { search }, FEW, context.signal),
    ]);
    return { ...page, others };
  },
  draw(page, context) {
    const { kind: _kind, ...query } = context.query;
    const all = oneByOne(context);
    const may = mayChange(context.me);
    const none = Object.values(query).some(Boolean)
      ? empty('Nothing fits.')
      : page.others.items.length > 0 ? empty('This Master serves none itself.')
      : empty('Nobody asked for an instance yet.', may && 'slapos request TITLE SOFTWARE', may && h('a', { class: 'button main', href: place('request') }, 'Request one here'));
    return view(
      head('Instances', { actions: may && [kinds(context), h('a', { class: 'button main', href: place('request') }, 'Request an instance')] }),
      filters(context, 'Search by title', all ? [['state', 'State', STATES]] : []),
      h('section', { class: 'card' }, page.items.length === 0 ? none : paged('Instances', all ? COLUMNS : TREES, page, more(context))),
      elsewhere(page.others),
    );
  },
  wants: (change) => !isPulse(change) && change.kind !== 'progress',
};
