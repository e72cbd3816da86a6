// What who is signed in may do and look at: a node only looks, and what lives on a computer of others is named
// without a link.

import { list } from './api.js';

/** More than these are not asked for: then all are links. */
const MOST = 2000;

let seen = null;

/** Whether who is signed in may ask for things and change those that are seen: people may. */
export function mayChange(me) {
  return me.kind === 'operator' || me.kind === 'user';
}

/** Asks which there are. */
export async function learn(me, signal) {
  if (me.kind !== 'user') {
    seen = null;
    return;
  }
  const { items, next } = await list('/api/v1/computers', {}, MOST, signal);
  seen = next ? null : new Set(items.map(({ id }) => id));
}

/** Whether that computer may be looked at. */
export function mayFollow(id) {
  return seen === null || seen.has(id);
}
