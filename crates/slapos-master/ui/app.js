// Where the dashboard begins: signed in or not, the frame around views, and which view an address means.

import { get } from './api.js';
import { Events } from './events.js';
import { frame } from './frame.js';
import { learn } from './reach.js';
import { match, parse } from './router.js';
import { Screen } from './screen.js';
import { signIn as keep, signOut, takeFromAddress, token } from './session.js';
import { applyTheme } from './theme.js';
import { keepTimes } from './parts.js';
import { confirm, toast } from './dialog.js';
import audit from './views/audit.js';
import change from './views/change.js';
import computer from './views/computer.js';
import computers from './views/computers.js';
import instance from './views/instance.js';
import instances from './views/instances.js';
import me from './views/me.js';
import missing from './views/missing.js';
import overview from './views/overview.js';
import people from './views/people.js';
import person from './views/person.js';
import request from './views/request.js';
import search from './views/search.js';
import signIn from './views/sign-in.js';
import software from './views/software.js';
import softwareOne from './views/software-one.js';

const ROUTES = [
  ['', overview],
  ['computers', computers],
  ['computers/:id', computer],
  ['software', software],
  ['software/:url', softwareOne],
  ['instances', instances],
  ['instances/:guid', instance],
  ['instances/:guid/change', change],
  ['request', request],
  ['search', search],
  ['people', people],
  ['people/:name', person],
  ['audit', audit],
  ['me', me],
];

const screen = new Screen(document.getElementById('main'));
const events = new Events();
const bar = frame(document.getElementById('top'), events);
let who = null;

events.addEventListener('change', ({ detail }) => {
  if (detail.kind === 'computer' && who) learn(who).catch(() => {});
  screen.heard(detail);
});
events.addEventListener('resync', () => screen.heard(null));
events.addEventListener('state', ({ detail }) => detail === 'live' && screen.back());

/** Shows what the address means to who is signed in. */
async function render() {
  const offered = takeFromAddress();
  if (offered && token() && offered !== token()) askToChange(offered);
  else if (offered) keep(offered);
  if (!token()) return askToSignIn();
  if (!who) return screen.show(connecting, context({}, {}));
  const { parts, query } = parse(location.hash);
  const found = match(ROUTES, parts) ?? { view: missing, params: {} };
  bar.show(who, parts[0] ?? '');
  return screen.show(found.view, context(found.params, query));
}

/** Who is signed in is asked before anything, and again until the Master says it. */
const connecting = {
  title: () => 'Not connected',
  async load({ signal }) {
    try {
      const me = await get('/api/v1/me', {}, signal);
      await learn(me, signal);
      who = me;
    } catch (error) {
      if (error.status !== 401 && !signal.aborted) events.start();
      throw error;
    }
    events.start();
    render();
  },
  draw: () => [],
};

function context(params, query) {
  return { params, query, me: who, events, signOut: leave };
}

function askToSignIn(refused) {
  who = null;
  events.stop();
  bar.show(null, '');
  const done = () => render();
  return screen.show(signIn, { params: {}, query: {}, refused, done });
}

/** An address signs nobody out unasked: who made it would see what is done after that. */
function askToChange(offered) {
  confirm({
    title: 'Sign in as somebody else?', verb: 'Change', danger: true,
    words: 'The address that was opened carries another token. With it you see and change what its owner may, and others who have it see what you do.',
    run: () => {
      keep(offered);
      who = null;
      events.stop();
      render();
    },
  });
}

function leave() {
  signOut();
  askToSignIn();
}

addEventListener('hashchange', () => render());
addEventListener('signed-out', () => askToSignIn('The Master does not know this token any more.'));
// What the Master refuses of a button that asks nothing.
addEventListener('unhandledrejection', (event) => {
  if (event.reason?.status === undefined) return;
  event.preventDefault();
  toast(event.reason.message, 'bad');
});

applyTheme();
keepTimes();
render();
