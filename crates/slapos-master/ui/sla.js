// Where an instance may be placed: filters by name and value.

import { h, id } from './dom.js';

const KNOWN = ['computer_guid', 'network_guid', 'project_guid', 'instance_guid', 'mode', 'retention_delay'];

/** An editor of filters; `read()` gives them as an object. */
export function slaEditor(value = {}) {
  const names = h('datalist', { id: id('filters') }, KNOWN.map((name) => h('option', { value: name })));
  const items = h('div', { class: 'items' });
  const rows = [];
  const add = (name, text) => {
    const key = h('input', { type: 'text', value: name, list: names.id, placeholder: 'filter', 'aria-label': 'Filter', autocomplete: 'off' });
    const content = h('input', { type: 'text', value: text, placeholder: 'value', 'aria-label': 'Value', autocomplete: 'off' });
    const row = { key, content };
    const node = h('div', { class: 'entry' }, key, content, h('button', { type: 'button', class: 'plain', 'aria-label': 'Remove this filter', on: { click: () => {
      rows.splice(rows.indexOf(row), 1);
      node.remove();
      button.focus();
    } } }, 'Remove'));
    rows.push(row);
    items.append(node);
    return key;
  };
  const button = h('button', { type: 'button', class: 'tiny', on: { click: () => add('', '').focus() } }, 'Add a filter');
  for (const [name, text] of Object.entries(value)) add(name, String(text));
  return {
    node: h('div', { class: 'items' }, names, items, h('div', null, button)),
    read: () => Object.fromEntries(rows.filter(({ key }) => key.value.trim()).map(({ key, content }) => [key.value.trim(), content.value.trim()])),
  };
}
