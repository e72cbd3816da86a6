// Who one is, and what this Master is.

import { get, path } from '../api.js';
import { h } from '../dom.js';
import { body, card, facts, head, view } from '../parts.js';
import { tokensCard } from './tokens.js';

const KINDS = {
  operator: 'The operator: everything may be seen and done.',
  user: 'A user: what belongs to your projects may be seen and done.',
  computer: 'A computer: what concerns it may be seen.',
  partition: 'An instance: what concerns it may be seen.',
};

export default {
  title: () => 'Who you are',
  load: ({ me, signal }) => (me.kind === 'user' ? get(path`/api/v1/users/${me.name}/tokens`, {}, signal) : { items: [] }),
  draw({ items }, { me, signOut, refresh }) {
    const { master = {} } = me;
    const databases = { sqlite: 'SQLite', postgresql: 'PostgreSQL' };
    return view(
      head('Who you are'),
      card('You', {}, body(
        facts(['Name', me.name || me.kind], ['Kind', KINDS[me.kind] ?? me.kind],
          me.kind === 'user' && ['Projects', me.projects?.length ? me.projects.join(', ') : 'none: the operator has to make you a member of one']),
        h('p', { class: 'soft small' }, 'The token is kept in this tab until it is closed.'),
        h('div', { class: 'actions' }, h('button', { type: 'button', id: 'sign-out', on: { click: signOut } }, 'Sign out')))),
      me.kind === 'user' && tokensCard(items, { target: path`/api/v1/users/${me.name}/tokens`, holder: me.name, address: true, single: true }, refresh),
      card('This Master', {}, body(facts(
        ['Address', location.origin], ['Version', master.version], ['Database', databases[master.database] ?? master.database],
        ['API', h('a', { href: '/api/v1/openapi.json' }, '/api/v1/openapi.json')]))),
    );
  },
};
