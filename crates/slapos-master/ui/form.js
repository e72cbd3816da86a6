// A form for a JSON schema: its fields, what they say together, and errors at the field that they are about.

import { h } from './dom.js';
import { make } from './groups.js';
import { plain } from './schema.js';
import { validate } from './validate.js';

/**
 * Which part of a value an error is about, whose path is a JSON pointer (`/a/0`) or written as `$.a[0]`; a missing
 * property is about itself. Pure.
 */
export function segments({ path = '', message }) {
  const parts = path.startsWith('$')
    ? [...path.matchAll(/\.([^.[\]]+)|\[(\d+)\]/g)].map(([, name, index]) => name ?? index)
    : path.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const missing = /^"(.+)" is a required property$/.exec(message)?.[1];
  return missing === undefined ? parts : [...parts, missing];
}

function* all(one) {
  yield one;
  for (const child of one.children()) yield* all(child);
}

/** Makes the form for a schema, with what is known already. */
export function schemaForm(schema, value) {
  const root = make({ schema: { type: 'object', ...plain(schema, schema), title: '' }, name: '', must: true, value }, schema);
  const general = h('div', { role: 'alert' });
  const node = h('div', { class: 'fields' }, general, root.node);

  const clear = () => {
    general.replaceChildren();
    for (const one of all(root)) one.setError('');
  };

  /** The deepest field that the error is about, unfolded. */
  const find = (error) => {
    let found = root;
    for (const segment of segments(error)) {
      found.reveal();
      const next = found.children().find((child) => child.key() === segment);
      if (!next) break;
      found = next;
    }
    return found;
  };

  const show = (errors) => {
    clear();
    for (const error of errors) {
      const at = find(error);
      const text = /is a required property$/.test(error.message) ? 'This is needed.' : error.message;
      if (at === root) general.append(h('p', { class: 'error' }, text));
      else at.setError(text);
    }
    const first = node.querySelector('[aria-invalid="true"]');
    (first ?? general.firstElementChild)?.scrollIntoView({ block: 'center' });
    first?.focus({ preventScroll: true });
  };

  const check = () => {
    clear();
    const complaints = [...all(root)].filter((one) => one.complaint());
    for (const one of complaints) one.setError(one.complaint());
    if (complaints.length > 0) {
      node.querySelector('[aria-invalid="true"]')?.focus();
      return false;
    }
    const errors = validate(schema, root.read() ?? {});
    if (errors.length > 0) show(errors);
    return errors.length === 0;
  };

  return { node, show, check, read: () => root.read() ?? {} };
}
