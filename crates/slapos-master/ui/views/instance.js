// One instance: what is wanted, what it publishes, how its promises are, and with whom it lives.

import { get, list, path } from '../api.js';
import { h } from '../dom.js';
import { body, card, computer, copyButton, empty, facts, head, instance as link, linked, notice, place, software, table, time, view } from '../parts.js';
import { decode } from '../parameters.js';
import { cover } from '../secrets.js';
import { status } from '../shapes.js';
import { instanceState, isPulse } from '../words.js';
import { usageCard } from './usage.js';
import { forgotten, instanceActions } from './instance-actions.js';
import { COLUMNS } from './instances.js';
import { promisesCard, since } from './promises.js';
import { knownType } from './schema-choice.js';

const MOST_MEMBERS = 500;

const unfolded = (given) => (typeof given === 'string' ? given : JSON.stringify(given, null, 2));

/** A value, unfolded; what of it is a secret is shown when asked. */
function value(name, given, schema) {
  const text = unfolded(given);
  const covered = unfolded(cover({ [name]: given }, schema)[name]);
  if (covered === text) return h('pre', null, linked(text));
  const place = h('div');
  const show = h('button', { type: 'button', class: 'tiny', 'aria-label': `Show ${name}`, on: { click: () => place.replaceChildren(h('pre', null, text)) } }, 'Show');
  place.append(/[[{]/.test(covered) ? h('pre', null, covered) : h('span', { class: 'soft', 'aria-hidden': 'true' }, `${covered} `), show);
  return place;
}

function pairs(values, schema) {
  return Object.entries(values).map(([name, given]) => h('div', { class: 'pair' },
    h('span', { class: 'key' }, name), value(name, given, schema), copyButton(name, typeof given === 'string' ? given : JSON.stringify(given))));
}

function connection(instance, schema) {
  const values = decode(instance.connection);
  const none = Object.keys(values).length === 0;
  return card('Connection parameters', { actions: !none && copyButton('all connection parameters', JSON.stringify(values, null, 2)) },
    none ? empty('It has published nothing yet.') : pairs(values, schema));
}

function about(instance) {
  return card('About', {}, body(facts(
    ['Software', [software(instance.software_release), h('span', { class: 'under mono' }, instance.software_release)]], ['Type', instance.software_type],
    ['Wanted', status(instance.state === 'destroyed' ? 'destroyed' : instance.state)],
    ['Reported', instance.reported && [status(instance.reported.state), ' ', h('span', { class: 'soft' }, time(instance.reported.at))]],
    ['Computer', instance.computer && [computer(instance.computer), ' ', instance.partition]],
    ['Tree', instance.tree && !instance.root && instance.tree.title], ['Project', instance.project],
    ['Asked for by', instance.asked_by && h('a', { href: place('instances', instance.asked_by) }, instance.asked_by)],
    ['Shares', instance.host && h('a', { href: place('instances', instance.host) }, instance.host)],
    ['Addresses', instance.addresses?.length > 0 && h('span', { class: 'mono' }, instance.addresses.map(({ address }) => address).join(' '))],
    ['Changed', time(instance.changed_at)], ['Guid', [h('code', null, instance.guid), ' ', copyButton('the guid', instance.guid)]])));
}

function members(instance, tree) {
  const others = tree.items.filter(({ guid }) => guid !== instance.guid);
  if (others.length === 0) return null;
  return card('In the same tree', { note: tree.next ? `the first ${MOST_MEMBERS}` : null }, table('Instances of the tree', COLUMNS, others));
}

const SHARED = [
  { name: 'Shared instance', cell: link },
  { name: 'State', bare: true, cell: (item) => status(instanceState(item)) },
  { name: 'Tree', cell: ({ tree }) => tree?.title },
  { name: 'Changed', cell: ({ changed_at: at }) => time(at) },
];

export default {
  title: ({ guid }) => `Instance ${guid}`,
  async load({ params, state, signal }) {
    const target = path`/api/v1/instances/${params.guid}`;
    const [instance, used, told] = await Promise.all([
      get(target, {}, signal),
      get(`${target}/usage`, {}, signal),
      get(`${target}/promises`, { since: since(state) }, signal).catch((error) => {
        if (error.status === 404) return { promises: [] };
        throw error;
      }),
    ]);
    const tree = instance.tree ? await list('/api/v1/instances', { project: instance.tree.project, tree: instance.tree.title }, MOST_MEMBERS, signal) : { items: [] };
    return { instance, usage: used.usage, promises: told.promises, tree, type: await knownType(instance, signal) };
  },
  draw({ instance, usage, promises, tree, type }, context) {
    const parameters = decode(instance.parameters);
    const root = tree.items.find((item) => item.root);
    const shared = instance.shared_instances ?? [];
    document.title = `${instance.title} · SlapOS Master`;
    return view(
      head(instance.title, {
        crumbs: [h('a', { href: place('instances') }, 'Instances'), root && root.guid !== instance.guid && [' › ', link(root)]],
        mark: status(instanceState(instance)), actions: instanceActions(instance, context),
      }),
      instance.reported?.state === 'error' && instance.reported.message && notice('bad', 'Its node reports an error', h('p', { class: 'mono' }, instance.reported.message)),
      forgotten(instance, tree.items, context),
      h('div', { class: 'columns' },
        h('div', null, connection(instance, type.response_schema), !instance.shared && promisesCard(promises, context),
          usageCard(usage),
          shared.length > 0 && card('Shared instances', {}, table('Shared instances', SHARED, shared))),
        h('div', null, about(instance),
          card('Parameters', { actions: Object.keys(parameters).length > 0 && copyButton('all parameters', JSON.stringify(parameters, null, 2)) },
            Object.keys(parameters).length === 0 ? empty('None is given: the defaults hold.') : pairs(parameters, type.request_schema)),
          Object.keys(instance.sla ?? {}).length > 0 && card('Placement', {}, pairs(instance.sla)))),
      members(instance, tree),
    );
  },
  wants: (change, { instance }) => !isPulse(change) && change.kind !== 'progress'
    && ((change.tree && change.tree === instance?.tree?.title) || (change.computer === instance?.computer && (!change.partition || change.partition === instance?.partition))),
};
