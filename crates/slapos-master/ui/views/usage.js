// What was used, as nodes report it: the last report of each resource.

import { card, table, time } from '../parts.js';

const COLUMNS = [
  { name: 'Resource', cell: ({ title, resource }) => title || resource },
  { name: 'Quantity', class: 'number', cell: ({ quantity }) => quantity },
  { name: 'For', cell: ({ start, stop }) => [start, stop].filter(Boolean).join(' – ') },
  { name: 'Reported', cell: ({ told_at: at }) => time(at) },
];

/** Nothing where nothing was ever reported: few nodes do. */
export function usageCard(usage) {
  return usage.length > 0 && card('Usage', { note: 'as last reported' }, table('Usage', COLUMNS, usage));
}
