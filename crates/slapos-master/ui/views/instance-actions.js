// What can be done with an instance.

import { patch, path, post } from '../api.js';
import { confirm, prompt, toast } from '../dialog.js';
import { h } from '../dom.js';
import { notice, place, time } from '../parts.js';
import { mayChange } from '../reach.js';
import { go } from '../router.js';
import { count } from '../words.js';

const button = (words, click, look) => h('button', { type: 'button', class: look, on: { click } }, words);

async function want(instance, state, refresh) {
  await patch(path`/api/v1/instances/${instance.guid}`, { state });
  toast(`${instance.title} is to be ${state}.`);
  refresh();
}

function stop(instance, refresh) {
  confirm({
    title: `Stop ${instance.title}`, verb: 'Stop', words: 'Its services end; its data stays. Members of its tree are not stopped with it.',
    run: () => want(instance, 'stopped', refresh),
  });
}

/** What else ends with the root of a tree: shared instances of others. Nothing where that cannot be asked. */
async function alsoEnds(instance) {
  if (instance.shared || !instance.root) return '';
  const { title, software_release, software_type, tree } = instance;
  const wish = { title, software_release, software_type, state: 'destroyed', ...(tree.project ? { project: tree.project } : {}) };
  try {
    const { remarks = [] } = await post('/api/v1/requests/check', wish);
    return remarks.map((remark) => ` ${remark}.`).join('');
  } catch {
    return '';
  }
}

async function destroy(instance, refresh) {
  const also = await alsoEnds(instance);
  const words = instance.shared ? 'Its host serves it no more. This cannot be taken back.' : instance.root
    ? 'The instance, every instance of its tree and all their data are removed from their computers. This cannot be taken back.'
    : 'The instance and its data are removed from its computer. What asked for it may ask again.';
  confirm({ title: `Destroy ${instance.title}`, verb: 'Destroy', danger: true, typed: instance.title, words: words + also, run: async () => {
    await want(instance, 'destroyed', instance.shared ? () => go(place('instances')) : refresh);
  } });
}

function rename(instance, refresh) {
  prompt({
    title: `Rename ${instance.title}`, verb: 'Rename', words: 'Who asks for it by its title has to use the new one.',
    fields: [{ name: 'title', label: 'Title', value: instance.title, must: true }],
    run: async ({ title }) => {
      await patch(path`/api/v1/instances/${instance.guid}`, { title });
      toast(`${instance.title} is called ${title} now.`);
      refresh();
    },
  });
}

function destroyForgotten(instance, titles, refresh) {
  confirm({
    title: 'Destroy what is forgotten', verb: 'Destroy', danger: true,
    words: `${titles.join(', ')}: these instances and their data are removed from their computers. This cannot be taken back.`,
    run: async () => {
      const { destroyed } = await post(path`/api/v1/instances/${instance.guid}/orphans/destroy`);
      toast(`${count(destroyed.length, 'instance')} to be destroyed: ${destroyed.join(', ')}.`);
      refresh();
    },
  });
}

/** What a tree has that nobody asks for any more, and its end; nothing where there is none. */
export function forgotten(instance, members, { me, refresh }) {
  if (instance.orphan_since && instance.state !== 'destroyed') {
    return notice('warn', 'Nobody asks for it any more', h('p', null, 'The instance that asked for it stopped doing so ', time(instance.orphan_since), '. It runs on until it is destroyed.'));
  }
  const titles = instance.root ? members.filter((one) => one.orphan_since && one.state !== 'destroyed').map(({ title }) => title) : [];
  if (titles.length === 0) return null;
  return notice('warn', `${count(titles.length, 'instance')} of this tree ${titles.length === 1 ? 'is' : 'are'} not asked for any more`,
    h('p', null, titles.join(', ')),
    mayChange(me) && h('div', { class: 'actions' }, button('Destroy forgotten…', () => destroyForgotten(instance, titles, refresh), 'danger')));
}

async function call(instance, what, words) {
  await post(path`/api/v1/instances/${instance.guid}`.concat(`/${what}`));
  toast(words);
}

/** The buttons of an instance for who may press them. */
export function instanceActions(instance, { me, refresh }) {
  if (!mayChange(me) || instance.state === 'destroyed') return null;
  const started = instance.state === 'started';
  return [
    h('a', { class: 'button', href: place('instances', instance.guid, 'change') }, 'Change…'),
    // A shared one is started as long as its host is, and is called as who uses it knows it.
    !instance.shared && (started ? button('Stop…', () => stop(instance, refresh)) : button('Start', () => want(instance, 'started', refresh))),
    !instance.shared && started && button('Restart', () => call(instance, 'restart', `${instance.title} is to be restarted.`)),
    !instance.shared && button('Look again', () => call(instance, 'bang', `The computer was asked to process ${instance.title} again.`)),
    !instance.shared && button('Rename…', () => rename(instance, refresh)),
    button('Destroy…', () => destroy(instance, refresh), 'danger'),
  ];
}
