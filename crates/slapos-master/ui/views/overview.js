// How all is: counts, what fails, and what changes as one looks.

import { get } from '../api.js';
import { h } from '../dom.js';
import { card, computer, empty, head, instance, place, software, time, view } from '../parts.js';
import { mayChange } from '../reach.js';
import { changeWords, count, isPulse, tellApart } from '../words.js';
import { status } from '../shapes.js';
import { supply } from './software-parts.js';

const FEED = 24;
/** What was heard since the page was opened, newest first. */
const heard = [];

const same = (one, other) => ['kind', 'computer', 'partition', 'software', 'tree', 'about'].every((name) => one[name] === other[name]);

function listen({ events }) {
  if (listen.done) return;
  listen.done = true;
  events.addEventListener('change', ({ detail }) => {
    if (isPulse(detail)) return;
    // What is told again and again is one line, the newest.
    const former = heard.findIndex((change) => same(change, detail));
    if (former >= 0) heard.splice(former, 1);
    heard.unshift({ ...detail, at: new Date().toISOString() });
    heard.length = Math.min(heard.length, FEED);
  });
}

function tile(href, name, number, ...notes) {
  return h('a', { class: 'tile', href }, h('span', { class: 'soft' }, name), h('strong', null, number.toLocaleString('en')),
    h('span', { class: 'note' }, notes.filter(Boolean)));
}

/** How many there are in the list of all: those that have a partition, and shared ones. */
const all = ({ total, shared }) => total + shared;

function tiles({ computers, software: softwares, trees, shared_trees: sharedTrees, instances, partitions }) {
  return h('div', { class: 'tiles' },
    tile(place('computers'), 'Computers', computers.total,
      computers.silent > 0 && status('silent', `${computers.silent} silent`), computers.never > 0 && status('never', `${computers.never} never seen`),
      computers.ok > 0 && status('ok', `${computers.ok} heard of lately`)),
    tile(place('computers'), 'Partitions', partitions.total, h('span', null, `${partitions.busy} in use`), h('span', null, `${partitions.total - partitions.busy} free`)),
    tile(place('software'), 'Software Releases', softwares.total,
      softwares.error > 0 && status('error', `${softwares.error} failed`), softwares.available > 0 && status('available', `${softwares.available} available`), softwares.building > 0 && status('building', `${softwares.building} building`)),
    tile(place('instances'), 'Instances', all(instances), h('span', null, `in ${count(trees + sharedTrees, 'tree')}`),
      instances.shared > 0 && h('span', null, `${instances.shared} shared`),
      instances.failed > 0 && status('error', `${instances.failed} failing`)));
}

/** What its node reported, and which promise is broken, unless the report says so. */
function whyFailing({ guid, reported }, promises) {
  const report = reported?.state === 'error' ? reported.message : null;
  const promise = promises.find((one) => one.guid === guid);
  const broken = promise && !report?.includes(promise.name) && h('div', null, h('strong', null, promise.name), ` ${promise.message}`);
  return (report || broken) && [report && h('div', null, report), broken];
}

function failingRows({ computers, software: softwares, instances, promises }) {
  const urls = softwares.map(({ url }) => url);
  return [
    ...computers.map((item) => ({ what: computer(item.id), state: status('silent'), why: item.last_contact_at ? ['last heard of ', time(item.last_contact_at)] : null })),
    ...softwares.map((item) => ({ what: [software(item.url, urls), ' on ', computer(item.computer)], state: status('error', 'build failed'), why: item.reported?.message })),
    ...instances.map((item) => ({
      what: [instance(item), ' on ', computer(item.computer)], why: whyFailing(item, promises),
      state: status('error', item.promises?.failed ? `${count(item.promises.failed, 'promise')} broken` : 'error reported'),
    })),
  ];
}

function failing(data) {
  const rows = failingRows(data);
  const list = rows.length === 0
    ? empty('Nothing fails.')
    : h('ul', { class: 'feed failing' }, rows.map(({ what, state, why }) => h('li', null, state, h('div', null, what, why && h('div', { class: 'soft small' }, why)))));
  return card('What fails', { note: rows.length > 0 ? 'the first of each kind' : null }, list);
}

function feed() {
  const apart = tellApart(heard.map(({ software: url }) => url).filter(Boolean));
  const item = (change) => {
    const { kind, about, state } = changeWords(change);
    const where = apart.get(change.software);
    return h('li', null, time(change.at), h('div', null, `${kind} `, about && h('strong', null, about), where && [' ', h('code', null, where)], state && ` ${state}`,
      change.computer && [h('span', { class: 'soft' }, ' on '), computer(change.computer)]));
  };
  return card('Changes', { note: 'since this page was opened' },
    heard.length === 0 ? empty('Nothing changed yet. What changes appears here at once.') : h('ul', { class: 'feed', id: 'changes' }, heard.map(item)));
}

/** What to do where nothing runs yet. */
function first({ software: softwares, computers }, context) {
  if (computers.total === 0) return h('section', { class: 'card' }, empty('Nothing of yours runs yet. Request an instance: the operator’s computers take it, as far as they are open to you.'));
  const words = softwares.total === 0
    ? 'Nothing runs yet. Have a computer build a Software Release, then request an instance of it.'
    : 'Nothing runs yet. Request an instance of a Software Release that a computer has.';
  return h('section', { class: 'card' }, empty(words, 'slapos up SOFTWARE',
    softwares.total === 0 && h('button', { type: 'button', on: { click: () => supply(context) } }, 'Supply a Software Release…')));
}

export default {
  title: () => 'Overview',
  load({ signal, ...context }) {
    listen(context);
    return get('/api/v1/summary', {}, signal);
  },
  draw: (data, context) => view(
    head('Overview', { actions: mayChange(context.me) && h('a', { class: 'button main', href: place('request') }, 'Request an instance') }),
    data.computers.total === 0 && context.me.kind === 'operator'
      ? h('section', { class: 'card' }, empty('No computer is known yet. Bring one in with', 'slapos node register', h('a', { href: place('computers') }, 'or prepare one here')))
      : tiles(data),
    mayChange(context.me) && (data.computers.total > 0 || context.me.kind === 'user') && all(data.instances) === 0 && first(data, context),
    h('div', { class: 'columns' }, h('div', null, failing(data.failing)), h('div', null, feed())),
  ),
  // Counting is dear where there is much.
  pause: 2000,
  wants: (change) => !isPulse(change),
};
