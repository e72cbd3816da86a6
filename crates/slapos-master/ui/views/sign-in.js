// Signing in: the token is shown to the Master, and kept for this tab if it is right.

import { ask } from '../api.js';
import { h } from '../dom.js';
import { notice, problem } from '../parts.js';
import { signIn } from '../session.js';

export default {
  title: () => 'Sign in',
  draw(_, { refused, done }) {
    const said = h('div', { 'aria-live': 'polite' }, refused && notice('warn', refused));
    const input = h('input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true, spellcheck: 'false', 'data-first': true });
    const button = h('button', { type: 'submit', class: 'main' }, 'Sign in');
    const form = h('form', { class: 'body', novalidate: true },
      // For password managers, which keep names.
      h('input', { type: 'text', autocomplete: 'username', value: 'slapos', readonly: true, hidden: true }),
      h('div', { class: 'field' }, h('label', { for: 'token' }, 'Token'), input,
        h('span', { class: 'help' }, 'Yours, or the operator’s: on the Master’s machine, ', h('code', null, 'slapos proxy dashboard'), ' prints the address that signs the operator in.')),
      said, h('div', { class: 'actions' }, button));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const token = input.value.trim();
      input.setAttribute('aria-invalid', String(!token));
      if (!token) {
        said.replaceChildren(notice('bad', 'Type the token.'));
        input.focus();
        return;
      }
      button.disabled = true;
      try {
        await ask('GET', '/api/v1/me', { as: token });
        signIn(token);
        done();
      } catch (error) {
        const wrong = error.status === 401;
        said.replaceChildren(wrong ? notice('bad', 'The Master does not know this token.') : problem(error));
        button.disabled = false;
        input.setAttribute('aria-invalid', String(wrong));
        input.focus();
        input.select();
      }
    });
    return h('div', { class: 'sign-in' }, h('section', { class: 'card' }, h('header', null, h('h1', null, 'Sign in')), form));
  },
};
