// How all is: counts, what fails, and what changes as one looks.

import { get, list } from '../api.js';
import { h } from '../dom.js';
import { card, computer, empty, head, instance, place, software, time, view } from '../parts.js';
import { changeWords, count, softwareState } from '../words.js';
import { status } from '../shapes.js';

const FAILING = 20;
const FEED = 40;
/** What was heard since the page was opened, newest first. */
const heard = [];

function listen({ events }) {
  if (listen.done) return;
  listen.done = true;
  events.addEventListener('change', ({ detail }) => {
    heard.unshift({ ...detail, at: new Date().toISOString() });
    heard.length = Math.min(heard.length, FEED);
  });
}

/** Counts what a Master without a summary lists. */
async function counted(signal) {
  const [computers, softwares, instances] = await Promise.all(
    ['computers', 'software', 'instances'].map((what) => list(`/api/v1/${what}`, {}, 500, signal)));
  const having = (items, test) => items.filter(test).length;
  const sum = (name) => computers.items.reduce((all, { partitions }) => all + (partitions?.[name] ?? 0), 0);
  return {
    computers: { total: computers.items.length, ok: having(computers.items, ({ state }) => state === 'ok'), silent: having(computers.items, ({ state }) => state === 'silent'), never: having(computers.items, ({ state }) => state === 'never') },
    software: { total: softwares.items.length, error: having(softwares.items, (item) => softwareState(item) === 'error'), building: having(softwares.items, (item) => softwareState(item) === 'building') },
    trees: having(instances.items, ({ root }) => root),
    instances: { total: instances.items.length, failed: having(instances.items, (item) => item.reported?.state === 'error' || item.promises?.failed > 0) },
    partitions: { total: sum('total'), busy: sum('busy') },
  };
}

async function summary(signal) {
  try {
    return await get('/api/v1/summary', {}, signal);
  } catch (error) {
    if (error.status === 404) return counted(signal);
    throw error;
  }
}

function tile(href, name, number, ...notes) {
  return h('a', { class: 'tile', href }, h('span', { class: 'soft' }, name), h('strong', null, number.toLocaleString('en')),
    h('span', { class: 'note' }, notes.filter(Boolean)));
}

function tiles({ computers, software: softwares, trees, instances, partitions }) {
  return h('div', { class: 'tiles' },
    tile(place('computers'), 'Computers', computers.total,
      computers.silent > 0 && status('silent', `${computers.silent} silent`), computers.never > 0 && status('never', `${computers.never} never seen`),
      computers.ok > 0 && status('ok', `${computers.ok} connected`)),
    tile(place('computers'), 'Partitions', partitions.total, h('span', null, `${partitions.busy} in use`), h('span', null, `${partitions.total - partitions.busy} free`)),
    tile(place('software'), 'Software Releases', softwares.total,
      softwares.error > 0 && status('error', `${softwares.error} failed`), softwares.building > 0 && status('building', `${softwares.building} building`)),
    tile(place('instances'), 'Instances', instances.total, h('span', null, `in ${count(trees, 'tree')}`),
      instances.failed > 0 && status('error', `${instances.failed} failing`)));
}

function failingRows({ silent, software: softwares, instances }) {
  return [
    ...silent.items.map((item) => ({ what: computer(item.id), state: status('silent'), why: item.last_contact_at ? ['last heard of ', time(item.last_contact_at)] : null })),
    ...softwares.items.map((item) => ({ what: [software(item.url), ' on ', computer(item.computer)], state: status('error', 'build failed'), why: item.reported?.message })),
    ...instances.items.map((item) => ({ what: instance(item), state: status('error', item.promises?.failed ? count(item.promises.failed, 'promise') : 'error'), why: item.reported?.message })),
  ];
}

function failing(data) {
  const rows = failingRows(data);
  const list = rows.length === 0
    ? empty('Nothing fails.')
    : h('ul', { class: 'feed failing' }, rows.map(({ what, state, why }) => h('li', null, state, h('div', null, what, why && h('div', { class: 'soft small' }, why)))));
  return card('What fails', {}, list);
}

function feed() {
  const item = (change) => {
    const { kind, about, state } = changeWords(change);
    return h('li', null, time(change.at), h('div', null, `${kind} `, about && h('strong', null, about), state && ` ${state}`,
      change.computer && [h('span', { class: 'soft' }, ' on '), computer(change.computer)]));
  };
  return card('Changes', { note: 'since this page was opened' },
    heard.length === 0 ? empty('Nothing changed yet. What changes appears here at once.') : h('ul', { class: 'feed', id: 'changes' }, heard.map(item)));
}

export default {
  title: () => 'Overview',
  async load({ signal, ...context }) {
    listen(context);
    const [counts, silent, softwares, instances] = await Promise.all([
      summary(signal),
      list('/api/v1/computers', { state: 'silent' }, FAILING, signal),
      list('/api/v1/software', { state: 'error' }, FAILING, signal),
      list('/api/v1/instances', { state: 'failed' }, FAILING, signal),
    ]);
    return { counts, silent, software: softwares, instances };
  },
  draw: (data) => view(
    head('Overview', { actions: h('a', { class: 'button main', href: place('request') }, 'Request an instance') }),
    data.counts.computers.total === 0
      ? h('section', { class: 'card' }, empty('No computer is known yet. Bring one in with', 'slapos node register', h('a', { href: place('computers') }, 'or prepare one here')))
      : tiles(data.counts),
    h('div', { class: 'columns' }, h('div', null, failing(data)), h('div', null, feed())),
  ),
  wants: () => true,
};
