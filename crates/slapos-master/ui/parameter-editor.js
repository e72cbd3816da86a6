// Parameters to be written: by a form if there is a schema, or as JSON or XML; one goes between them.

import { h, id } from './dom.js';
import { schemaForm } from './form.js';
import { problem } from './parts.js';
import { encode, readJson, readXml, writeXml } from './parameters.js';
import { cover } from './secrets.js';
import { validate } from './validate.js';

const NAMES = { form: 'Form', json: 'JSON', xml: 'XML' };

function textEditor(mode, value, schema) {
  const write = mode === 'xml' ? writeXml : (one) => JSON.stringify(one, null, 2);
  const area = h('textarea', { class: 'tall', id: id('raw'), spellcheck: 'false', value: write(value) });
  const error = h('span', { class: 'error', id: id('error'), role: 'alert' });
  area.setAttribute('aria-describedby', error.id);
  const place = h('div', null, area);
  const say = (text) => {
    error.textContent = text;
    area.setAttribute('aria-invalid', String(Boolean(text)));
    if (text) place.replaceChildren(area);
    if (text) area.focus();
  };
  area.addEventListener('input', () => say(''));
  const read = () => (mode === 'xml' ? readXml : readJson)(area.value);
  const show = (errors) => say(errors.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('\n'));
  const covered = write(cover(value, schema));
  if (covered !== area.value) {
    const show = () => {
      place.replaceChildren(area);
      area.focus();
    };
    place.replaceChildren(h('pre', null, covered), h('button', { type: 'button', class: 'tiny', on: { click: show } }, 'Show and change'));
  }
  const node = h('div', { class: 'field' }, h('label', { for: area.id }, `Parameters as ${NAMES[mode]}`), place, error);
  return { node, read, show, say };
}

/** An editor for parameters: `schema` may be absent; `serialisation` is how the software reads them. */
export function parameterEditor({ schema, serialisation, value = {} }) {
  const nested = serialisation === 'json-in-xml';
  const modes = [schema && 'form', 'json', !nested && 'xml'].filter(Boolean);
  const place = h('div');
  const buttons = modes.map((mode) => h('button', { type: 'button', 'aria-pressed': 'false', 'data-mode': mode, on: { click: () => change(mode) } }, NAMES[mode]));
  let current;
  let mode;

  const open = (wanted, initial) => {
    mode = wanted;
    current = mode === 'form' ? schemaForm(schema, initial) : textEditor(mode, initial, schema);
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.mode === mode));
    place.replaceChildren(current.node);
  };
  const change = (wanted) => {
    if (wanted === mode) return;
    try {
      open(wanted, current.read());
    } catch (error) {
      current.say(error.message);
    }
  };
  /** Whether all that is written can be sent; says what is wrong where it is. */
  const check = () => {
    if (mode === 'form') return current.check();
    try {
      const written = current.read();
      const errors = schema && mode === 'json' ? validate(schema, written) : [];
      current.show(errors);
      return errors.length === 0;
    } catch (error) {
      current.say(error.message);
      return false;
    }
  };
  open(modes[0], value);
  const switcher = modes.length > 1 && h('div', { class: 'segments', role: 'group', 'aria-label': 'How to write parameters' }, buttons);
  return { node: h('div', { class: 'fields' }, switcher && h('div', null, switcher), place), check, show: (errors) => current.show(errors), read: () => encode(current.read(), serialisation) };
}

/** Shows what the Master refused: at the fields as far as it says where, and as a whole. */
export function showRefusal(error, editor, place) {
  if (error.status === undefined) throw error;
  if (!(error.errors?.length > 0)) {
    place.replaceChildren(problem(error));
    place.scrollIntoView({ block: 'nearest' });
    return;
  }
  // Its words name all of them again.
  place.replaceChildren(problem({ message: 'The Master refused these parameters.', errors: error.errors }));
  editor.show(error.errors);
}
