// Who one is, and what this Master is.

import { h } from '../dom.js';
import { body, card, facts, head, view } from '../parts.js';

const KINDS = {
  operator: 'The operator: everything may be seen and done.',
  user: 'A user: what belongs to your projects may be seen and done.',
  computer: 'A computer: what concerns it may be seen.',
  partition: 'An instance: what concerns it may be seen.',
};

export default {
  title: () => 'Who you are',
  draw(_, { me, signOut }) {
    const { master = {} } = me;
    const databases = { sqlite: 'SQLite', postgresql: 'PostgreSQL' };
    return view(
      head('Who you are'),
      card('You', {}, body(
        facts(['Name', me.name || me.kind], ['Kind', KINDS[me.kind] ?? me.kind],
          ['Projects', me.projects?.length ? me.projects.map((name) => name || 'the operator’s').join(', ') : null]),
        h('p', { class: 'soft small' }, 'The token is kept in this tab until it is closed.'),
        h('div', { class: 'actions' }, h('button', { type: 'button', id: 'sign-out', on: { click: signOut } }, 'Sign out')))),
      card('This Master', {}, body(facts(
        ['Address', location.origin], ['Version', master.version], ['Database', databases[master.database] ?? master.database],
        ['API', h('a', { href: '/api/v1/openapi.json' }, '/api/v1/openapi.json')]))),
    );
  },
};
