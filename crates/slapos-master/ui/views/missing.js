// An address that means nothing.

import { empty, head, view } from '../parts.js';
import { h } from '../dom.js';

export default {
  title: () => 'Not found',
  draw: () => view(head('Not found'), h('section', { class: 'card' },
    empty('There is no such view.', null, h('a', { href: '#/' }, 'To the overview')))),
};
