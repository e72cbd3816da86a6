// The Master's API: one function to ask, and what it says when it refuses.

import { signOut, token } from './session.js';

/** What the Master refused, in its own words. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.title || `The Master answered ${status}.`);
    this.status = status;
    this.detail = document.detail ?? '';
    this.hint = document.hint ?? '';
    /** What is wrong with values: [{path, message}]. */
    this.errors = document.errors ?? [];
  }
}

/** An address below the Master, with what of the query has a value. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

/** A path of which every `${part}` is escaped. */
export function path(strings, ...parts) {
  return String.raw({ raw: strings }, ...parts.map(encodeURIComponent));
}

/** Asks; gives the response once it is a good one. */
export async function ask(method, target, { query, body, signal, headers, as } = {}) {
  const presented = as ?? token();
  const response = await fetch(address(target, query), {
    method,
    signal,
    cache: 'no-store',
    credentials: 'omit',
    headers: {
      Accept: 'application/json',
      ...(presented ? { Authorization: `Bearer ${presented}` } : {}),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch((error) => {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { title: 'The Master does not answer.', hint: 'Is it running, and is this machine connected?' });
  });
  if (response.ok) return response;
  const problem = new Problem(response.status, await explanation(response));
  if (response.status === 401 && as === undefined) {
    signOut();
    dispatchEvent(new Event('signed-out'));
  }
  throw problem;
}

async function explanation(response) {
  const text = await response.text().catch(() => '');
  try {
    const document = JSON.parse(text);
    if (document && typeof document === 'object') return document;
  } catch {
    // Not ours: whatever stands in between said something.
  }
  const plain = (response.headers.get('content-type') ?? '').startsWith('text/plain');
  return { title: plain && text ? text.slice(0, 400) : `The Master answered ${response.status}.` };
}

async function json(method, target, options) {
  const response = await ask(method, target, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = (target, query, signal) => json('GET', target, { query, signal });
export const post = (target, body, signal) => json('POST', target, { body, signal });
export const put = (target, body) => json('PUT', target, { body });
export const patch = (target, body) => json('PATCH', target, { body });
export const remove = (target) => json('DELETE', target);

/** A plain text; `null` when there is none. */
export async function textOf(target, query, signal) {
  try {
    return await (await ask('GET', target, { query, signal, headers: { Accept: 'text/plain' } })).text();
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}

const LARGEST_PAGE = 500;

/** The first `wanted` items of a list and the cursor after them. */
export async function list(target, query, wanted, signal) {
  const items = [];
  let after;
  do {
    const limit = Math.min(wanted - items.length, LARGEST_PAGE);
    const page = await get(target, { ...query, limit, after }, signal);
    items.push(...page.items);
    after = page.next ?? undefined;
  } while (after && items.length < wanted);
  return { items, next: after ?? null };
}
