// Users, their tokens, and projects: for the operator.

import { list, path, post, put, remove } from '../api.js';
import { confirm, prompt, toast } from '../dialog.js';
import { h } from '../dom.js';
import { card, empty, head, place, table, time, view } from '../parts.js';
import { go } from '../router.js';
import { makeToken } from './tokens.js';

const MOST = 2000;

const button = (words, click, look = 'tiny') => h('button', { type: 'button', class: look, on: { click } }, words);

function addUser(refresh) {
  prompt({
    title: 'Add a user', verb: 'Add', fields: [{ name: 'name', label: 'Name', must: true }],
    run: async ({ name }) => {
      await post('/api/v1/users', { name });
      toast(`${name} is known now. Give them a token, and a project.`);
      refresh();
    },
  });
}

export function removeUser(name) {
  confirm({
    title: `Remove ${name}`, verb: 'Remove', danger: true, typed: name, words: 'The user is forgotten, with every token. Projects and what is in them stay.',
    run: async () => {
      await remove(path`/api/v1/users/${name}`);
      toast(`${name} is removed.`);
      go(place('people'));
    },
  });
}

function addProject(refresh) {
  prompt({
    title: 'Add a project', verb: 'Add', fields: [{ name: 'name', label: 'Name', must: true }],
    run: async ({ name }) => {
      await post('/api/v1/projects', { name });
      toast(`Project ${name} is made.`);
      refresh();
    },
  });
}

function addMember(project, users, refresh) {
  prompt({
    title: `Add a member to ${project}`, verb: 'Add', words: 'Members see and change all that belongs to the project.',
    fields: [{ name: 'user', label: 'User', choices: users.map(({ name }) => [name, name]), must: true }],
    run: async ({ user }) => {
      await put(path`/api/v1/projects/${project}/members/${user}`);
      refresh();
    },
  });
}

function members({ name, members: all = [] }, refresh) {
  const leave = (user) => confirm({
    title: `Remove ${user} from ${name}`, verb: 'Remove', danger: true, words: 'What belongs to the project is not theirs any more.',
    run: async () => {
      await remove(path`/api/v1/projects/${name}/members/${user}`);
      refresh();
    },
  });
  return h('span', { class: 'tags' }, all.map((user) => h('span', null, user, ' ', h('button', { type: 'button', class: 'tiny plain', 'aria-label': `Remove ${user} from ${name}`, on: { click: () => leave(user) } }, '×'))));
}

function users(items, refresh) {
  return card('Users', { actions: button('Add a user', () => addUser(refresh)) },
    items.length === 0 ? empty('Nobody but the operator is known. Add a user, make them a member of a project, and give them a token: they see and change what is in their projects.') : table('Users', [
      { name: 'Name', cell: ({ name }) => h('a', { href: place('people', name) }, name) },
      { name: 'Known since', cell: ({ created_at: at }) => time(at) },
      { name: 'Projects', class: 'wide', cell: ({ projects }) => ((projects ?? []).length > 0 ? projects.join(', ') : 'none yet') },
      { name: '', bare: true, class: 'wide number', cell: ({ name }) => button('Make a token…', () => makeToken({ target: path`/api/v1/users/${name}/tokens`, holder: name, address: true }, refresh)) },
    ], items));
}

function projects(items, known, refresh) {
  return card('Projects', { actions: button('Add a project', () => addProject(refresh)) },
    items.length === 0 ? empty('There is no project: all belongs to the operator. What users may see and change is put into projects.') : table('Projects', [
      { name: 'Name', cell: ({ name }) => name || 'the operator’s' },
      { name: 'Members', class: 'wide', cell: (project) => members(project, refresh) },
      { name: '', bare: true, class: 'number', cell: ({ name }) => name && button('Add a member…', () => addMember(name, known, refresh)) },
    ], items));
}

export default {
  title: () => 'People',
  async load({ signal }) {
    const [known, made] = await Promise.all([list('/api/v1/users', {}, MOST, signal), list('/api/v1/projects', {}, MOST, signal)]);
    return { users: known.items, projects: made.items };
  },
  draw: (data, { refresh }) => view(head('People'), users(data.users, refresh), projects(data.projects, data.users, refresh)),
  wants: (change) => /user|project/.test(change.kind),
};
