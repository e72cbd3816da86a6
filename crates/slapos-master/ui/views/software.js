// All Software Releases, by computer.

import { h } from '../dom.js';
import { empty, head, view } from '../parts.js';
import { filters, load, more, narrowed } from '../live-list.js';
import { mayChange } from '../reach.js';
import { softwareTable, supply } from './software-parts.js';

const STATES = [['', 'In any state'], ['available', 'Available'], ['building', 'Building'], ['error', 'Failed'], ['destroyed', 'Removed'], ['wanted', 'Not yet told']];

export default {
  title: () => 'Software Releases',
  load: (context) => load('/api/v1/software', context.query, context),
  draw(page, context) {
    const none = narrowed(context)
      ? empty('No Software Release fits.')
      : empty('No computer was asked to build anything yet.', 'slapos supply URL COMPUTER');
    return view(
      head('Software Releases', { actions: mayChange(context.me) && h('button', { type: 'button', on: { click: () => supply(context) } }, 'Supply…') }),
      filters(context, 'Search Software Releases', [['state', 'State', STATES]]),
      h('section', { class: 'card' }, page.items.length === 0 ? none : [
        softwareTable(page.items, context),
        page.next && h('footer', null, h('button', { type: 'button', id: 'more', on: { click: more(context) } }, 'Show more')),
      ]),
    );
  },
  wants: (change) => Boolean(change.software) || change.kind === 'progress',
};
