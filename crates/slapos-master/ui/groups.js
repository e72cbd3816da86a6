// Fields that consist of fields: objects, lists, and alternatives. Parts of what is optional are made when they are
// unfolded, so that a schema that refers to itself ends.

import { h, id, say } from './dom.js';
import { field, labelled, leaf } from './fields.js';
import { isObject, kindOf, label, plain, typeOf, variants } from './schema.js';
import { validate } from './validate.js';

/** The field for a schema. `spec`: `{schema, name, must, value, depth}`. */
export function make(spec, root) {
  const schema = plain(spec.schema, root);
  const kind = kindOf(schema, root);
  const given = { depth: 0, ...spec, schema };
  if (kind === 'object') return object(given, root);
  if (kind === 'array') return list(given, root);
  if (kind === 'choice') return choice(given, root);
  return leaf(kind, given, root) ?? leaf('any', given, root);
}

/** Unfolds when asked, and makes its fields then. */
function folded({ schema, name, value }, fill) {
  const body = h('div', { class: 'fields' });
  const error = h('span', { class: 'error' });
  const part = h('details', { class: 'group' }, h('summary', null, label(schema, name)), schema.description && h('p', { class: 'help soft small' }, schema.description), error, body);
  let filled = false;
  const reveal = () => {
    if (!filled) {
      filled = true;
      body.append(fill());
    }
    part.open = true;
  };
  part.addEventListener('toggle', () => part.open && reveal());
  if (value !== undefined) reveal();
  return { node: part, error, reveal, isFilled: () => filled };
}

function framed({ schema, name, must }, inner) {
  const error = h('span', { class: 'error' });
  const legend = h('legend', null, label(schema, name), must && h('span', { class: 'must' }, ' needed'));
  const node = h('fieldset', { class: 'group' }, name !== '' && legend, schema.description && name !== '' && h('p', { class: 'help soft small' }, schema.description), error, inner);
  if (name === '') node.classList.add('bare');
  return { node, error };
}

function object(spec, root) {
  const { schema, must, depth, name } = spec;
  const initial = isObject(spec.value) ? spec.value : {};
  const parts = [];
  const fill = () => {
    const needed = new Set(schema.required ?? []);
    const properties = Object.entries(schema.properties ?? {});
    for (const [key, one] of properties) parts.push(make({ schema: one, name: key, must: needed.has(key), always: spec.always, value: initial[key], depth: depth + 1 }, root));
    const rest = Object.entries(initial).filter(([key]) => !(key in (schema.properties ?? {})));
    const others = additional(schema, depth, properties.length === 0, rest, root);
    if (others) parts.push(others);
    return h('div', { class: 'fields' }, parts.map(({ node }) => node));
  };
  const read = () => {
    const entries = parts.flatMap((part) => (part.entries ? part.entries() : [[part.key(), part.read()]]));
    const given = entries.filter(([, value]) => value !== undefined);
    return given.length > 0 || must ? Object.fromEntries(given) : undefined;
  };
  const children = () => parts.flatMap((part) => (part.entries ? part.children() : [part]));
  const lazy = !must && depth > 0;
  const frame = lazy ? folded(spec, fill) : framed(spec, fill());
  return field({
    key: () => name, node: frame.node, children, reveal: frame.reveal ?? (() => {}), setError: (text) => { frame.error.textContent = text; },
    read: () => (lazy && !frame.isFilled() ? spec.value : read()),
  });
}

/** Which schema a parameter has that the schema does not name; `null` when there may be none. */
function schemaOfOthers(schema, depth, alone) {
  const { additionalProperties: others, patternProperties: patterned } = schema;
  if (isObject(others) && Object.keys(others).length > 0) return others;
  const first = Object.values(patterned ?? {}).find(isObject);
  if (first) return first;
  const offered = others === true || alone || (depth === 0 && others === undefined);
  return offered && others !== false ? { type: 'string' } : null;
}

/** Parameters by names of one's own. */
function additional(schema, depth, alone, initial, root) {
  const wanted = schemaOfOthers(schema, depth, alone);
  if (!wanted && initial.length === 0) return null;
  const rows = [];
  const items = h('div', { class: 'items' });
  const add = (key, value) => {
    const name = h('input', { type: 'text', value: key, 'aria-label': 'Name', placeholder: 'name', spellcheck: 'false', autocomplete: 'off' });
    const one = wanted && (value === undefined || typeof value === 'string' || wanted.type !== 'string') ? wanted : value === undefined || typeof value === 'string' ? { type: 'string' } : {};
    const inner = make({ schema: { ...plain(one, root), title: 'Value' }, name: 'value', must: typeOf(plain(one, root)) === 'object', value, depth: depth + 1 }, root);
    const node = h('div', { class: 'entry' }, h('div', { class: 'field' }, h('span', { class: 'label' }, 'Name'), name), inner.node);
    const row = { ...inner, key: () => name.value, node };
    node.append(removeButton(rows, row, () => name.value || 'this parameter'));
    rows.push(row);
    items.append(node);
    return name;
  };
  for (const [key, value] of initial) add(key, value);
  const button = h('button', { type: 'button', class: 'tiny', on: { click: () => add('', undefined).focus() } }, 'Add another parameter');
  const entries = () => rows.filter((row) => row.key() !== '').map((row) => [row.key(), row.read() ?? '']);
  return field({ key: () => '', node: h('div', { class: 'items' }, items, h('div', null, button)), entries, children: () => rows, setError() {} });
}

function removeButton(rows, row, what) {
  return h('button', { type: 'button', class: 'tiny plain', on: { click: () => {
    rows.splice(rows.indexOf(row), 1);
    const next = row.node.nextElementSibling ?? row.node.parentElement.nextElementSibling;
    row.node.remove();
    (next?.querySelector('input, select, button') ?? next)?.focus?.();
    say(`${what()} is removed.`);
  } } }, 'Remove');
}

function list(spec, root) {
  const { schema, name, must, depth } = spec;
  const rows = [];
  const items = h('div', { class: 'items' });
  const add = (value) => {
    const one = plain(schema.prefixItems?.[rows.length] ?? (Array.isArray(schema.items) ? schema.items[rows.length] : schema.items) ?? {}, root);
    const inner = make({ schema: one, name: 'Entry', must: true, value, depth: depth + 1 }, root);
    const row = { ...inner, key: () => String(rows.indexOf(row)) };
    row.node = h('div', { class: 'item' }, inner.node);
    row.node.append(removeButton(rows, row, () => 'The entry'));
    rows.push(row);
    items.append(row.node);
    return row;
  };
  const given = Array.isArray(spec.value) ? spec.value : Array.from({ length: must ? schema.minItems ?? 0 : 0 }, () => undefined);
  for (const value of given) add(value);
  const button = h('button', { type: 'button', class: 'tiny', on: { click: () => add(undefined).node.querySelector('input, select, textarea')?.focus() } }, `Add ${label(schema, name).toLowerCase() === name ? `to ${name}` : `to “${label(schema, name)}”`}`);
  const frame = framed(spec, [items, h('div', null, button)]);
  return field({
    key: () => name, node: frame.node, children: () => rows, setError: (text) => { frame.error.textContent = text; },
    read: () => {
      const values = rows.map((row) => row.read()).filter((value) => value !== undefined);
      return values.length > 0 || must ? values : undefined;
    },
  });
}

/** The alternative that a value is of. */
function variantOf(alternatives, value, root) {
  if (value === undefined) return -1;
  const fits = alternatives.findIndex((one) => validate({ ...one, $defs: root.$defs, definitions: root.definitions }, value).length === 0);
  return fits >= 0 ? fits : alternatives.findIndex((one) => typeOf(one) === (Array.isArray(value) ? 'array' : typeof value));
}

function choice(spec, root) {
  const { schema, name, must, value, depth } = spec;
  const alternatives = variants(schema, root);
  const found = variantOf(alternatives, value, root);
  const first = found >= 0 ? found : must ? 0 : -1;
  const control = h('select', { value: first < 0 ? '' : String(first) },
    !must && h('option', { value: '' }, 'not given'),
    alternatives.map((one, index) => h('option', { value: String(index) }, one.title ?? (one.const !== undefined ? String(one.const) : `${typeOf(one)}${alternatives.filter((other) => typeOf(other) === typeOf(one)).length > 1 ? ` ${index + 1}` : ''}`))));
  const { node, setError } = labelled(spec, control);
  const place = h('div', { class: 'fields' });
  let inner = null;
  const pick = (initial) => {
    const chosen = control.value === '' ? null : alternatives[Number(control.value)];
    inner = chosen && make({ schema: chosen, name: name || 'Value', must: true, always: true, value: initial, depth: depth + 1 }, root);
    place.replaceChildren(...(inner ? [inner.node] : []));
  };
  control.addEventListener('change', () => pick(undefined));
  pick(value);
  node.append(place);
  node.classList.add('choice');
  return field({
    key: () => name, node, setError,
    children: () => (inner ? inner.children() : []),
    reveal: () => inner?.reveal(),
    complaint: () => inner?.complaint() ?? null,
    read: () => (inner ? inner.read() : undefined),
  });
}
