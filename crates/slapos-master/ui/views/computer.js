// One computer: what it is, what lives in its partitions, what is built on it.

import { get, path } from '../api.js';
import { h } from '../dom.js';
import { body, card, empty, facts, head, instance, place, presence, table, time, view } from '../parts.js';
import { mayChange } from '../reach.js';
import { status } from '../shapes.js';
import { bytes, count, instanceState } from '../words.js';
import { certificateActions, computerActions } from './computer-actions.js';
import { labels, scope } from './computers.js';
import { softwareTable, supply } from './software-parts.js';
import { tokensCard } from './tokens.js';
import { usageCard } from './usage.js';

const PARTITIONS = [
  { name: 'Partition', cell: ({ id }) => id },
  { name: 'Instance', cell: ({ instance: living }) => (living ? instance(living) : h('span', { class: 'soft' }, 'free')) },
  { name: 'State', bare: true, cell: ({ instance: living }) => living && status(instanceState(living)) },
  { name: 'Addresses', class: 'wide', cell: ({ addresses }) => h('span', { class: 'small mono' }, (addresses ?? []).map(({ address }) => address).join(' ')) },
];

function partitions(computer) {
  const all = computer.partition_list ?? [];
  const busy = all.filter((one) => one.instance).length;
  return card('Partitions', { note: all.length ? `${busy} of ${all.length} in use` : null },
    all.length === 0
      ? empty('The machine has told of no partitions. On it, run', 'slapos node format --now')
      : table('Partitions', PARTITIONS, all));
}

/** How the machine is, by its node's words. */
function machine(metrics) {
  if (!metrics) return null;
  const { load, memory, disk, services, at } = metrics;
  const room = ({ total, available }) => `${bytes(available)} of ${bytes(total)} free`;
  return card('Machine', { note: time(at) }, body(facts(
    ['Load', load.toFixed(2)], ['Memory', room(memory)], ['Disk', room(disk)],
    ['Services', services ? [`${services.running} run`, services.failed > 0 && [', ', status('error', `${services.failed} failed`)]] : 'not known'])));
}

function about(computer) {
  return card('About', {}, body(facts(
    ['Name', h('code', null, computer.id)],
    ['Last heard of', time(computer.last_contact_at) ?? 'never'],
    ['Formatted', time(computer.formatted_at) ?? 'not yet: run slapos node format on it'],
    ['Address', computer.address], ['Network', computer.network], ['Project', computer.project],
    ['Scope', scope(computer.allocation_scope)],
    ['Capacity', computer.capacity && count(computer.capacity, 'instance')],
    ['Labels', Object.keys(computer.labels ?? {}).length > 0 ? labels(computer.labels) : null])));
}

export default {
  title: ({ id }) => `Computer ${id}`,
  async load({ params, me, signal }) {
    const target = path`/api/v1/computers/${params.id}`;
    // First, because its refusal says best what is the matter.
    const computer = await get(target, {}, signal);
    const [used, tokens] = await Promise.all([
      get(`${target}/usage`, {}, signal),
      mayChange(me) ? get(`${target}/token`, {}, signal) : null,
    ]);
    return { computer, usage: used.usage.filter(({ by }) => by === computer.id), tokens: tokens?.items };
  },
  draw({ computer, usage, tokens }, context) {
    const softwares = computer.software_list ?? [];
    return view(
      head(computer.title || computer.id, {
        crumbs: h('a', { href: place('computers') }, 'Computers'), mark: presence(computer), actions: computerActions(computer, context),
      }),
      h('div', { class: 'columns' },
        h('div', null, partitions(computer),
          card('Software Releases', { actions: mayChange(context.me) && h('button', { type: 'button', class: 'tiny', on: { click: () => supply(context, { computer: computer.id }) } }, 'Supply…') },
            softwares.length === 0
              ? empty('No Software Release is wanted here.', `slapos supply URL ${computer.id}`)
              : softwareTable(softwares, context, { hideComputer: true }))),
        h('div', null, about(computer), machine(computer.metrics), usageCard(usage))),
      tokens && tokensCard(tokens, { target: path`/api/v1/computers/${computer.id}/token`, holder: computer.id }, context.refresh, { title: 'Tokens and certificates', more: certificateActions(computer) }),
    );
  },
  wants: (change, data, { params }) => change.computer === params.id,
};
