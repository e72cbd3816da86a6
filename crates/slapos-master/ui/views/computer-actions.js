// What can be done with a computer: added, drained, named, given and refused proofs, sent away.

import { patch, path, post, remove } from '../api.js';
import { confirm, prompt, secret, toast } from '../dialog.js';
import { projectsOf } from './projects.js';
import { h } from '../dom.js';
import { place } from '../parts.js';
import { mayChange } from '../reach.js';
import { go } from '../router.js';

export async function addComputer({ me }) {
  const projects = (await projectsOf(me)).map((name) => [name, name || 'none']);
  prompt({
    title: 'Add a computer',
    words: 'The Master gives it a token, with which the machine brings itself in.',
    verb: 'Add',
    fields: [
      { name: 'title', label: 'Name', must: true, help: 'It stays: letters, digits and dashes.' },
      projects.length > 1 && { name: 'project', label: 'Project', choices: projects },
    ].filter(Boolean),
    run: async ({ title, project }) => {
      const made = await post('/api/v1/computers', { title, ...(project ? { project } : {}) });
      go(place('computers', made.id));
      secret({ title: `Computer ${made.id}`, words: 'This token is shown once. Give it to the machine.', values: [['Token', made.token], ['Computer', made.id], ['Master', location.origin]] });
    },
  });
}

/** `a=b, c` as labels; pure. */
export function readLabels(text) {
  const parts = text.split(',').map((part) => part.trim()).filter(Boolean);
  return Object.fromEntries(parts.map((part) => {
    const mark = part.indexOf('=');
    return mark < 0 ? [part, ''] : [part.slice(0, mark).trim(), part.slice(mark + 1).trim()];
  }));
}

function edit(computer, refresh) {
  const words = Object.entries(computer.labels ?? {}).map(([key, value]) => (value ? `${key}=${value}` : key)).join(', ');
  prompt({
    title: `Change ${computer.id}`,
    verb: 'Save',
    fields: [
      { name: 'title', label: 'Title', value: computer.title },
      { name: 'labels', label: 'Labels', value: words, help: 'Separated by commas: rack=3, ssd' },
      { name: 'network', label: 'Network', value: computer.network ?? '' },
      { name: 'capacity', label: 'Capacity', value: computer.capacity ?? '', help: 'The most instances it takes; empty: as many as it has partitions.' },
    ],
    run: async ({ title, labels, network, capacity }) => {
      if (!/^\d*$/.test(capacity)) throw new Error('The capacity is a whole number, or nothing.');
      await patch(path`/api/v1/computers/${computer.id}`, {
        title, labels: readLabels(labels), network, capacity: capacity === '' ? null : Number(capacity),
      });
      toast(`${computer.id} is changed.`);
      refresh();
    },
  });
}

function scopeSelect(computer, refresh) {
  const choose = async (event) => {
    const wanted = event.target.value;
    try {
      await patch(path`/api/v1/computers/${computer.id}`, { allocation_scope: wanted });
      toast(`${computer.id} is ${wanted === 'drain' ? 'being drained' : wanted} now.`);
    } catch (error) {
      toast(error.message, 'bad');
    }
    refresh();
  };
  return h('select', { id: 'scope', 'aria-label': 'Who may be placed here', value: computer.allocation_scope ?? 'open', on: { change: choose } },
    h('option', { value: 'open' }, 'Open: takes new instances'),
    h('option', { value: 'closed' }, 'Closed: takes no new ones'),
    h('option', { value: 'drain' }, 'Drain: is being emptied'));
}

function certificate({ id }) {
  confirm({
    title: 'A new certificate',
    words: `The certificate and its key let a machine act as ${id}. The key is shown once and is not kept here.`,
    verb: 'Issue',
    run: async () => {
      const made = await post(path`/api/v1/computers/${id}/certificate`);
      secret({ title: `A certificate of ${id}`, words: 'Keep both files on the machine; the key is shown once.', values: [['Certificate', made.certificate, `${id}.crt`], ['Key', made.key, `${id}.key`]] });
    },
  });
}

function revokeCertificates({ id }) {
  confirm({
    title: 'Revoke every certificate',
    words: `Whoever uses a certificate of ${id}, or of a partition of it, is refused from now on.`,
    verb: 'Revoke', danger: true,
    run: async () => {
      await remove(path`/api/v1/computers/${id}/certificate`);
      toast(`Every certificate of ${id} is revoked.`);
    },
  });
}

function sendAway({ id }) {
  confirm({
    title: `Remove ${id}`,
    words: 'The Master forgets the computer, its partitions and its proofs. It refuses while instances live there.',
    verb: 'Remove', danger: true, typed: id,
    run: async () => {
      await remove(path`/api/v1/computers/${id}`);
      toast(`${id} is removed.`);
      go(place('computers'));
    },
  });
}

async function bang({ id }) {
  await post(path`/api/v1/computers/${id}/bang`);
  toast(`${id} was asked to look at all its partitions again.`);
}

const button = (words, click, look) => h('button', { type: 'button', class: look, on: { click } }, words);

/** The buttons of a computer for who may press them. */
export function computerActions(computer, { me, refresh }) {
  if (!mayChange(me)) return null;
  return [
    scopeSelect(computer, refresh),
    button('Change…', () => edit(computer, refresh)),
    button('Look again', () => bang(computer)),
    button('Remove…', () => sendAway(computer), 'danger'),
  ];
}

/** The buttons of its certificates. */
export function certificateActions(computer) {
  return [
    button('Issue a certificate…', () => certificate(computer), 'tiny'),
    button('Revoke certificates…', () => revokeCertificates(computer), 'tiny danger'),
  ];
}
