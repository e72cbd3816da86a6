// What can be done with an instance.

import { patch, path, post } from '../api.js';
import { confirm, prompt, toast } from '../dialog.js';
import { h } from '../dom.js';
import { place } from '../parts.js';

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

function destroy(instance, refresh) {
  const words = instance.root
    ? 'The instance, every instance of its tree and all their data are removed from their computers. This cannot be taken back.'
    : 'The instance and its data are removed from its computer. What asked for it may ask again.';
  confirm({ title: `Destroy ${instance.title}`, verb: 'Destroy', danger: true, typed: instance.title, words, run: () => want(instance, 'destroyed', refresh) });
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

async function call(instance, what, words) {
  await post(path`/api/v1/instances/${instance.guid}`.concat(`/${what}`));
  toast(words);
}

/** The buttons of an instance for who may press them. */
export function instanceActions(instance, { me, refresh }) {
  if ((me.kind !== 'operator' && me.kind !== 'user') || instance.state === 'destroyed') return null;
  const started = instance.state === 'started';
  return [
    h('a', { class: 'button', href: place('instances', instance.guid, 'change') }, 'Change…'),
    started ? button('Stop…', () => stop(instance, refresh)) : button('Start', () => want(instance, 'started', refresh)),
    !instance.shared && started && button('Restart', () => call(instance, 'restart', `${instance.title} is to be restarted.`)),
    !instance.shared && button('Look again', () => call(instance, 'bang', `The computer was asked to process ${instance.title} again.`)),
    button('Rename…', () => rename(instance, refresh)),
    button('Destroy…', () => destroy(instance, refresh), 'danger'),
  ];
}
