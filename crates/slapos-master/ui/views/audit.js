// Who changed what, newest first: for the operator.

import { h } from '../dom.js';
import { empty, head, paged, time, view } from '../parts.js';
import { load, more } from '../live-list.js';
import { isPulse } from '../words.js';
import { status } from '../shapes.js';

/** What came of it, by the status of the answer. */
function outcome(code) {
  if (code === 499) return status('silent', 'left before the answer');
  return code < 400 ? status('ok', 'done') : status('error', `refused (${code})`);
}

const COLUMNS = [
  { name: 'When', cell: ({ at }) => time(at) },
  { name: 'Who', cell: ({ caller }) => caller },
  { name: 'What', class: 'wide', bare: true, cell: ({ method, route }) => h('code', null, `${method} ${route}`) },
  { name: 'About', cell: ({ about }) => about },
  { name: 'Outcome', bare: true, cell: ({ outcome: word }) => outcome(word) },
];

export default {
  title: () => 'Audit',
  load: (context) => load('/api/v1/audit', {}, context),
  draw: (page, context) => view(head('Audit'), h('section', { class: 'card' },
    page.items.length === 0 ? empty('Nothing was changed yet.') : paged('Audit log', COLUMNS, page, more(context)))),
  wants: (change) => !isPulse(change),
};
