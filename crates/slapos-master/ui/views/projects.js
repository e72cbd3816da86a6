// In which projects one may put things.

import { list } from '../api.js';

const MOST = 2000;

/** Their names; `''` is the operator's own. */
export async function projectsOf(me, signal) {
  if (me.kind !== 'operator') return me.projects ?? [];
  const { items } = await list('/api/v1/projects', {}, MOST, signal).catch((error) => {
    // A Master that keeps no projects.
    if (error.status === 404) return { items: [] };
    throw error;
  });
  return ['', ...items.map(({ name }) => name).filter(Boolean)];
}
