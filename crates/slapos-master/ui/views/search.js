// What fits some words, of every kind.

import { get } from '../api.js';
import { h } from '../dom.js';
import { card, computer, empty, head, place, presence, table, view } from '../parts.js';
import { isPulse } from '../words.js';
import { COLUMNS } from './instances.js';
import { softwareTable } from './software-parts.js';

const COMPUTERS = [
  { name: 'Computer', cell: (item) => [computer(item.id), item.title && item.title !== item.id && h('span', { class: 'under' }, item.title)] },
  { name: 'State', bare: true, cell: presence },
];
const TREES = [
  { name: 'Tree', cell: ({ title, root }) => (root ? h('a', { href: place('instances', root.guid) }, title) : title) },
  { name: 'Project', cell: ({ project }) => project },
];

export default {
  title: () => 'Search',
  load: ({ query, signal }) => (query.q ? get('/api/v1/search', { q: query.q }, signal) : Promise.resolve({})),
  draw({ computers = [], software = [], trees = [], instances = [] }, context) {
    const sections = [
      trees.length > 0 && card('Instance trees', {}, table('Instance trees', TREES, trees)),
      instances.length > 0 && card('Instances', {}, table('Instances', COLUMNS, instances)),
      computers.length > 0 && card('Computers', {}, table('Computers', COMPUTERS, computers)),
      software.length > 0 && card('Software Releases', {}, softwareTable(software, context)),
    ].filter(Boolean);
    const { q } = context.query;
    return view(head(q ? `Search: ${q}` : 'Search'), sections.length > 0 ? sections
      : h('section', { class: 'card' }, empty(q ? 'Nothing fits. Titles, names and URLs are searched.' : 'Type what you look for into the field at the top; the key / goes there.')));
  },
  wants: (change) => !isPulse(change),
};
