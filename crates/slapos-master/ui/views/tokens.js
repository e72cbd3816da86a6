// The tokens of a user or of a computer: which there are, a new one, and the end of one or of all.

import { post, remove } from '../api.js';
import { confirm, prompt, secret, toast } from '../dialog.js';
import { h } from '../dom.js';
import { card, empty, table, time } from '../parts.js';
import { status } from '../shapes.js';

const button = (words, click, look = 'tiny') => h('button', { type: 'button', class: look, on: { click } }, words);

/** Whether a token still signs in; pure. */
export function isValid({ revoked_at: revoked, expires_at: end }, now = Date.now()) {
  return !revoked && !(end && Date.parse(end) <= now);
}

/** How many seconds some days are; `undefined` for none. Throws what is wrong, in words; pure. */
export function seconds(days) {
  if (days === '') return undefined;
  const number = Number(days);
  if (!(number > 0 && number <= 36_500)) throw new Error('Days are a number from 1 to 36500, or nothing.');
  return Math.round(number * 86_400);
}

/** Asks for a new token and shows it; `address` is where it signs in, if it is for people. */
export function makeToken({ target, holder, address }, refresh) {
  prompt({
    title: `A token for ${holder}`, verb: 'Make a token', words: 'It is shown once. Others stay valid until they end or are revoked.',
    fields: [
      { name: 'label', label: 'What it is for' },
      { name: 'days', label: 'Days until it ends', help: 'Empty: it lasts until it is revoked.' },
    ],
    run: async ({ label, days }) => {
      const { token } = await post(target, { label, expires_in: seconds(days) });
      const signed = address && `${location.origin}/ui/#token=${encodeURIComponent(token)}`;
      secret({
        title: `A token of ${holder}`,
        words: signed ? 'It is shown once. The address carries it, and signs in whoever opens it.' : 'It is shown once. Who has it may act as this computer.',
        values: [['Token', token], ...(signed ? [['Address', signed]] : [])],
      });
      refresh();
    },
  });
}

function revoke({ target, holder }, one, refresh) {
  confirm({
    title: one ? `Revoke a token of ${holder}` : `Revoke every token of ${holder}`, verb: 'Revoke', danger: true,
    words: one ? `Whoever uses ${one.label || one.id} is refused from now on.` : 'Whoever uses one is refused from now on.',
    run: async () => {
      await remove(one ? `${target}/${encodeURIComponent(one.id)}` : target);
      toast(one ? 'The token is revoked.' : `Every token of ${holder} is revoked.`);
      refresh();
    },
  });
}

/**
 * The card of tokens. `of` is `{target, holder, address?, single?}`: where the API has them, whose they are,
 * whether they sign people in here, and whether one can be revoked alone.
 */
export function tokensCard(items, of, refresh, { title = 'Tokens', more } = {}) {
  const valid = items.filter((token) => isValid(token));
  const gone = items.length - valid.length;
  const columns = [
    { name: 'Token', cell: ({ id, label }) => (label ? [label, h('span', { class: 'under mono' }, id)] : h('code', null, id)) },
    { name: 'State', bare: true, cell: () => status('ok', 'valid') },
    { name: 'Made', cell: ({ created_at: at }) => time(at) },
    { name: 'Last used', cell: ({ used_at: at }) => time(at) ?? 'never' },
    { name: 'Ends', cell: ({ expires_at: at }) => (at ? new Date(at).toLocaleDateString('sv') : 'when revoked') },
    of.single && { name: '', bare: true, class: 'number', cell: (token) => button('Revoke…', () => revoke(of, token, refresh), 'tiny plain') },
  ].filter(Boolean);
  return card(title, {
    note: gone > 0 && `${gone} more ${gone === 1 ? 'is' : 'are'} not valid any more`,
    actions: [more, button('Make a token…', () => makeToken(of, refresh)), valid.length > 0 && button('Revoke all…', () => revoke(of, null, refresh), 'tiny danger')],
  }, valid.length === 0 ? empty(of.address ? 'There is no token: nobody can sign in so.' : 'There is no token: the machine uses the operator’s, or a certificate.') : table('Tokens', columns, valid));
}
