// Who is signed in: the token, kept for this tab only.

const KEY = 'slapos-token';

/** The token, or nothing. */
export function token() {
  return sessionStorage.getItem(KEY);
}

export function signIn(value) {
  sessionStorage.setItem(KEY, value);
}

export function signOut() {
  sessionStorage.removeItem(KEY);
}

/** Takes a token out of the address (`#token=...`), so that it stays in no history; `''` when there is none. */
export function takeFromAddress() {
  const hash = location.hash.slice(1);
  if (!hash.startsWith('token=')) return '';
  const parts = new URLSearchParams(hash);
  history.replaceState(null, '', `${location.pathname}#${parts.get('to') ?? '/'}`);
  return parts.get('token').trim();
}
