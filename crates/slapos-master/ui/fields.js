// Fields of one value. A field is `{key(), node, read(), children(), reveal(), setError(text), complaint()}`; `read`
// gives `undefined` where nothing is given, so that the software's own default holds.

import { h, id } from './dom.js';
import { choices, label, words } from './schema.js';
import { isSecret } from './secrets.js';

/** What all fields can do, and most need not. */
export function field(own) {
  return { children: () => [], reveal() {}, complaint: () => null, ...own };
}

/** The label, the description and the error around a control. */
export function labelled({ schema, name, must }, control, help) {
  const error = h('span', { class: 'error', id: id('error') });
  const hint = h('span', { class: 'help', id: id('help') }, [schema.description, help].filter(Boolean).join('\n'));
  control.id ||= id('field');
  control.setAttribute('aria-describedby', `${hint.id} ${error.id}`);
  if (must) control.setAttribute('aria-required', 'true');
  const title = h('label', { for: control.id }, label(schema, name), must && h('span', { class: 'must' }, ' needed'));
  const setError = (text) => {
    error.textContent = text;
    control.setAttribute('aria-invalid', String(Boolean(text)));
  };
  control.addEventListener('input', () => setError(''));
  return { node: h('div', { class: 'field' }, title, hint.textContent && hint, control, error), setError };
}

function simple(spec, control, read, help) {
  const { node, setError } = labelled(spec, control, help);
  return field({ key: () => spec.name, node, setError, read, control });
}

function usual(schema) {
  return schema.default === undefined ? '' : `default: ${words(schema.default)}`;
}

/** A text that nobody beside may read, until it is asked for. */
function hidden(spec) {
  const { schema, name, value } = spec;
  const control = h('input', { type: 'password', value: value === undefined ? '' : words(value), placeholder: usual(schema), spellcheck: 'false', autocomplete: 'new-password' });
  const made = simple(spec, control, () => (control.value === '' ? undefined : control.value));
  const button = h('button', { type: 'button', class: 'tiny', 'aria-pressed': 'false', 'aria-label': `Show ${label(schema, name)}`, on: { click: () => {
    const shown = control.type === 'password';
    control.type = shown ? 'text' : 'password';
    button.setAttribute('aria-pressed', String(shown));
  } } }, 'Show');
  const place = h('div', { class: 'hidden-text' });
  control.replaceWith(place);
  place.append(control, button);
  return made;
}

/** Some text; long where the schema says so: SlapOS's schemas do it by `textarea`. */
function text(spec) {
  const { schema, value } = spec;
  const long = schema.textarea === true || schema.maxLength > 200 || schema.format === 'textarea' || schema.contentMediaType || /\n/.test(value ?? schema.default ?? '');
  if (isSecret(spec.name, schema) && !long) return hidden(spec);
  const given = value === undefined ? '' : words(value);
  const attributes = { value: given, placeholder: usual(schema), spellcheck: 'false', autocomplete: 'off' };
  const list = Array.isArray(schema.examples) && schema.examples.length > 0 && !long
    ? h('datalist', { id: id('examples') }, schema.examples.map((one) => h('option', { value: words(one) }))) : null;
  const control = long ? h('textarea', attributes) : h('input', { type: 'text', list: list?.id, inputmode: schema.format === 'uri' ? 'url' : null, ...attributes });
  const made = simple(spec, control, () => (control.value === '' ? undefined : control.value));
  if (list) made.node.append(list);
  return made;
}

function limits({ minimum, maximum, multipleOf: step }) {
  return [
    minimum !== undefined && maximum !== undefined ? `From ${minimum} to ${maximum}.`
      : minimum !== undefined ? `At least ${minimum}.` : maximum !== undefined ? `At most ${maximum}.` : '',
    step && step !== 1 ? `In steps of ${step}.` : '',
  ].filter(Boolean).join(' ');
}

function number(spec) {
  const { schema, value } = spec;
  const control = h('input', { type: 'text', inputmode: schema.type === 'integer' ? 'numeric' : 'decimal', value: value === undefined ? '' : words(value), placeholder: usual(schema), autocomplete: 'off' });
  return simple(spec, control, () => {
    const given = control.value.trim();
    if (given === '') return undefined;
    // What is no number stays as it was typed, so that the check can say so.
    return Number.isFinite(Number(given)) ? Number(given) : given;
  }, limits(schema));
}

/** One of several values, or nothing. */
function chooser(spec, options) {
  const { schema, value, must } = spec;
  const known = options.findIndex(([one]) => JSON.stringify(one) === JSON.stringify(value));
  const foreign = value !== undefined && known < 0;
  const all = foreign ? [...options, [value, words(value)]] : options;
  const fallback = options.find(([one]) => JSON.stringify(one) === JSON.stringify(schema.default));
  const nothing = fallback ? `default: ${fallback[1]}` : must ? 'choose…' : 'not given';
  const control = h('select', { value: foreign ? String(all.length - 1) : known < 0 ? '' : String(known) },
    h('option', { value: '' }, nothing), all.map(([, name], index) => h('option', { value: String(index) }, name)));
  return simple(spec, control, () => (control.value === '' ? undefined : all[Number(control.value)][0]));
}

function boolean(spec) {
  const read = { true: true, false: false }[String(spec.value)] ?? spec.value;
  return chooser({ ...spec, value: read }, [[true, 'yes'], [false, 'no']]);
}

/** What can only be one thing; given where it is needed, or where it tells alternatives apart. */
function constant(spec) {
  const { schema, must, always } = spec;
  if (!must && !always) return chooser(spec, [[schema.const, words(schema.const)]]);
  const control = h('input', { type: 'text', value: words(schema.const), readonly: true });
  return simple(spec, control, () => schema.const);
}

/** Anything: written as JSON. */
function any(spec) {
  const { schema, value } = spec;
  const control = h('textarea', { value: value === undefined ? '' : JSON.stringify(value, null, 2), placeholder: usual(schema), spellcheck: 'false' });
  const read = () => {
    const given = control.value.trim();
    if (given === '') return undefined;
    try {
      return JSON.parse(given);
    } catch {
      return given;
    }
  };
  const made = simple(spec, control, read, 'Written as JSON.');
  made.complaint = () => {
    const given = control.value.trim();
    try {
      if (given) JSON.parse(given);
      return null;
    } catch (error) {
      return `This is no JSON: ${error.message}`;
    }
  };
  return made;
}

const MAKERS = { const: constant, boolean, number, string: text, any };

/** The field of one value of that kind; `null` for kinds that have parts. */
export function leaf(kind, asked, root) {
  // What is needed has to be sent: its usual value is there to be kept.
  const usually = asked.must && asked.value === undefined ? asked.schema.default : asked.value;
  const spec = { ...asked, value: usually };
  if (kind === 'enum') return chooser(spec, choices(spec.schema, root));
  return MAKERS[kind]?.(spec) ?? null;
}
