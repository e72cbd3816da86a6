// What asks before something is done, and what shows a secret once. All are `<dialog>`s: the browser
// keeps the focus inside, and Escape leaves.

import { h, id, say } from './dom.js';
import { copyButton, problem, saveButton } from './parts.js';
import { glyph } from './shapes.js';

function open(title, content, buttons, submitted) {
  const label = id('dialog');
  const wrong = h('div', { hidden: true });
  const form = h('form', { method: 'dialog', novalidate: true }, h('h2', { id: label }, title), content, wrong, h('div', { class: 'actions' }, buttons));
  const dialog = h('dialog', { 'aria-labelledby': label }, form);
  const before = document.activeElement;
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (before?.isConnected) before.focus();
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const waiting = [...form.querySelectorAll('button')].filter((button) => !button.disabled);
    for (const button of waiting) button.disabled = true;
    try {
      if ((await submitted()) !== false) dialog.close();
    } catch (error) {
      wrong.replaceChildren(problem(error));
      wrong.hidden = false;
    }
    for (const button of waiting) button.disabled = false;
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function cancelButton(words = 'Cancel') {
  return h('button', { type: 'button', on: { click: (event) => event.target.closest('dialog').close() } }, words);
}

/**
 * Asks whether to go on, then does it; what it refuses is shown inside. With `typed`, that text has to be
 * typed first.
 */
export function confirm({ title, words, verb, danger, typed, run }) {
  const input = typed && h('input', { id: id('typed'), autocomplete: 'off', autofocus: true });
  const button = h('button', { type: 'submit', class: danger ? 'danger' : 'main', disabled: Boolean(typed), autofocus: !typed && !danger }, verb);
  input?.addEventListener('input', () => { button.disabled = input.value !== typed; });
  const content = [
    h('p', null, words),
    typed && h('div', { class: 'field' }, h('label', { for: input.id }, 'Type ', h('code', null, typed), ' to confirm'), input),
  ];
  open(title, content, [cancelButton(), button], run);
}

/** Asks for values by plain fields: `[{name, label, help?, value?, type?, choices?}]`. */
export function prompt({ title, words, verb, fields, run }) {
  const inputs = fields.map(({ name, label, help, value, choices, must, list }, index) => {
    const key = id('ask');
    const control = choices
      ? h('select', { id: key, autofocus: index === 0, value }, choices.map(([word, text]) => h('option', { value: word }, text)))
      : h('input', { id: key, value: value ?? '', autocomplete: 'off', autofocus: index === 0, list });
    const error = h('span', { class: 'error', role: 'alert' });
    return { name, control, must, error, node: h('div', { class: 'field' }, h('label', { for: key }, label), help && h('span', { class: 'help' }, help), control, error) };
  });
  open(title, [words && h('p', { class: 'soft' }, words), inputs.map(({ node }) => node)],
    [cancelButton(), h('button', { type: 'submit', class: 'main' }, verb)], () => {
      let missing = false;
      for (const { control, must, error } of inputs) {
        const absent = must && !control.value.trim();
        error.textContent = absent ? 'This is needed.' : '';
        control.setAttribute('aria-invalid', String(Boolean(absent)));
        missing ||= absent;
      }
      if (missing) return false;
      return run(Object.fromEntries(inputs.map(({ name, control }) => [name, control.value.trim()])));
    });
}

/** Shows what is told only once: `[[name, text, file?]]`; what may be a file can be saved under that name. */
export function secret({ title, words, values }) {
  open(title, [
    h('p', null, words),
    values.map(([name, text, file]) => h('div', { class: 'field' },
      h('div', { class: 'actions' }, h('strong', null, name), copyButton(name, text), file && saveButton(name, text, file)),
      h('pre', { class: 'log' }, text))),
  ], [h('button', { type: 'submit', class: 'main', autofocus: true }, 'I have kept it')], () => true);
}

/** A short word at the edge, also said aloud. */
export function toast(words, look = 'good') {
  const close = h('button', { type: 'button', class: 'plain tiny', 'aria-label': 'Close' }, glyph('close'));
  const note = h('div', { class: `notice ${look}` }, h('span', null, words), close);
  close.addEventListener('click', () => note.remove());
  document.getElementById('toasts').append(note);
  say(words);
  setTimeout(() => note.remove(), look === 'bad' ? 15_000 : 5000);
}
