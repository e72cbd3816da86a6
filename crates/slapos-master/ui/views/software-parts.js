// What several views show of Software Releases on computers.

import { put } from '../api.js';
import { confirm, prompt, toast } from '../dialog.js';
import { h } from '../dom.js';
import { computer, software, table, time } from '../parts.js';
import { mayChange } from '../reach.js';
import { status } from '../shapes.js';
import { shortSoftware, softwareState } from '../words.js';

/** How far a build has come. */
function buildProgress({ progress }) {
  if (!progress) return null;
  const { done, total, part } = progress;
  const words = `${done} of ${total}${part ? `, now ${part}` : ''}`;
  return h('div', { class: 'progress' },
    h('progress', { max: total || 1, value: done, 'aria-label': `Built: ${words}` }), h('span', { class: 'small soft' }, words));
}

function state(item) {
  const word = softwareState(item);
  const wanted = item.requested_state === 'destroyed' && word === 'waiting' ? 'to be removed' : undefined;
  return [status(word, wanted), word === 'building' && buildProgress(item), word === 'error' && item.reported?.message && h('span', { class: 'under' }, item.reported.message)];
}

/** Wants it there, or no more. */
function toggle(item, refresh) {
  const gone = item.requested_state === 'destroyed';
  const run = async () => {
    await put('/api/v1/software', { computer: item.computer, url: item.url, state: gone ? 'available' : 'destroyed' });
    toast(`${shortSoftware(item.url)} is ${gone ? 'wanted' : 'to be removed'} on ${item.computer}.`);
    refresh();
  };
  const ask = () => (gone ? run() : confirm({
    title: 'Remove a Software Release', verb: 'Remove', danger: true, run,
    words: `${item.url} is removed from ${item.computer} once no instance uses it there.`,
  }));
  return h('button', { type: 'button', class: 'tiny plain', on: { click: ask } }, gone ? 'Want again' : 'Remove…');
}

/** Software Releases on computers, one a row. */
export function softwareTable(items, { me, refresh }, { hideComputer, hideSoftware } = {}) {
  return table('Software Releases', [
    !hideSoftware && { name: 'Software Release', cell: (item) => [software(item.url), h('span', { class: 'under mono' }, item.url)] },
    !hideComputer && { name: 'Computer', bare: true, cell: (item) => computer(item.computer) },
    { name: 'State', bare: true, class: 'wide', cell: state },
    { name: 'Reported', cell: (item) => time(item.reported?.at) },
    mayChange(me) && { name: '', bare: true, class: 'number', cell: (item) => toggle(item, refresh) },
  ].filter(Boolean), items);
}

/** Asks for a Software Release on a computer. */
export function supply({ refresh }, known = {}) {
  prompt({
    title: 'Supply a Software Release', verb: 'Supply',
    words: 'The computer builds it, and can then take instances of it.',
    fields: [
      { name: 'url', label: 'Software Release', help: 'The URL of its software.cfg, or a path on the computer.', must: true, value: known.url },
      { name: 'computer', label: 'Computer', must: true, value: known.computer },
    ],
    run: async ({ url, computer: id }) => {
      await put('/api/v1/software', { computer: id, url, state: 'available' });
      toast(`${shortSoftware(url)} is wanted on ${id}.`);
      refresh();
    },
  });
}
