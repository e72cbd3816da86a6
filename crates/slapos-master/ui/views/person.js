// One user: projects and tokens.

import { get, list, path } from '../api.js';
import { h } from '../dom.js';
import { body, card, empty, facts, head, place, time, view } from '../parts.js';
import { removeUser } from './people.js';
import { tokensCard } from './tokens.js';

const MOST = 2000;

export default {
  title: ({ name }) => name,
  async load({ params, signal }) {
    const [{ items: users }, { items: tokens }] = await Promise.all([
      list('/api/v1/users', {}, MOST, signal),
      get(path`/api/v1/users/${params.name}/tokens`, {}, signal),
    ]);
    return { user: users.find(({ name }) => name === params.name), tokens };
  },
  draw({ user, tokens }, { params: { name }, refresh }) {
    const crumbs = h('a', { href: place('people') }, 'People');
    if (!user) return view(head(name, { crumbs }), h('section', { class: 'card' }, empty('There is no such user.')));
    return view(
      head(name, { crumbs, actions: h('button', { type: 'button', class: 'danger', on: { click: () => removeUser(name) } }, 'Remove…') }),
      card('About', {}, body(facts(
        ['Known since', time(user.created_at)],
        ['Projects', user.projects?.length > 0 ? user.projects.join(', ') : 'none yet: add one on the page before this one']))),
      tokensCard(tokens, { target: path`/api/v1/users/${name}/tokens`, holder: name, address: true, single: true }, refresh),
    );
  },
  wants: (change) => change.kind === 'user' || change.kind === 'project',
};
