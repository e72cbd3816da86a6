// Asking for an instance: which software, of which type, with which parameters, where; and what would come of it.

import { list, post } from '../api.js';
import { toast } from '../dialog.js';
import { h, id } from '../dom.js';
import { body, card, computer, head, notice, place, problem, view } from '../parts.js';
import { parameterEditor, showRefusal } from '../parameter-editor.js';
import { go } from '../router.js';
import { slaEditor } from '../sla.js';
import { projectsOf } from './projects.js';
import { softwareSchema } from './schema-choice.js';

const OUTCOMES = {
  create: ['good', 'A new instance would be made.'],
  change: ['good', 'The instance of this title would be changed.'],
  nothing: ['', 'The instance is there already, just like this.'],
  forward: ['good', 'Another Master would be asked.'],
  refuse: ['bad', 'The Master would refuse this.'],
};

/** What a check found. */
export function verdict(answer) {
  const at = answer.place;
  // Nothing would be done, and nothing is there: it is refused.
  const [look, words] = OUTCOMES[answer.would === 'nothing' && !at ? 'refuse' : answer.would] ?? ['', answer.would];
  const errors = answer.schema?.errors ?? [];
  return notice(errors.length > 0 ? 'warn' : look, words,
    at && h('p', null, 'In partition ', h('strong', null, at.partition), ' of ', computer(at.computer), '.'),
    answer.why && h('p', null, answer.why),
    answer.remarks?.map((remark) => h('p', null, remark, '.')),
    answer.schema && !answer.schema.readable && h('p', { class: 'soft' }, 'Parameters are not checked: ', answer.schema.why || 'the Software Release has no schema that can be read', '.'),
    errors.length > 0 && h('ul', null, errors.map(({ path, message }) => h('li', null, path && path !== '$' && [h('code', null, path.replace(/^\$\.?/, '')), ' '], message))));
}

function labelled(label, control, help, must) {
  control.id ||= id('ask');
  const error = h('span', { class: 'error', id: `${control.id}-error` });
  control.setAttribute('aria-describedby', error.id);
  const setError = (text) => {
    error.textContent = text;
    control.setAttribute('aria-invalid', String(Boolean(text)));
  };
  control.addEventListener('input', () => setError(''));
  const node = h('div', { class: 'field' }, h('label', { for: control.id }, label, must && h('span', { class: 'must' }, ' needed')), help && h('span', { class: 'help' }, help), control, error);
  return { node, setError };
}

/** All of the form; `known` is what the address says. */
function form({ softwares, first, projects }, { query }) {
  const urls = h('datalist', { id: id('urls') }, softwares.map((url) => h('option', { value: url })));
  const url = h('input', { type: 'text', id: 'software', list: urls.id, value: query.software ?? '', spellcheck: 'false', autocomplete: 'off', 'data-first': !query.software });
  const title = h('input', { type: 'text', id: 'title', autocomplete: 'off', 'data-first': Boolean(query.software) });
  const project = h('select', { id: 'project' }, projects.map((name) => h('option', { value: name }, name || 'none (the operator’s)')));
  const typePlace = h('div', { class: 'fields' });
  const parameterPlace = h('div', { class: 'fields' });
  const found = h('p', { class: 'help soft small', 'aria-live': 'polite' });
  const shared = h('input', { type: 'checkbox', id: 'shared' });
  const sla = slaEditor();
  const outcome = h('div', { 'aria-live': 'polite', id: 'outcome' });
  const urlField = labelled('Software Release', url, 'The URL of its software.cfg. Those that computers were asked to build are suggested.', true);
  const titleField = labelled('Title', title, 'Your name for it; the same title in the same project means the same instance.', true);
  let type = null;
  let editor = null;
  let described = null;

  const edit = (software) => {
    const kind = chosen(software) ?? {};
    editor = parameterEditor({ schema: kind.request_schema, serialisation: kind.serialisation, value: editor && !kind.request_schema ? safely(editor) : {} });
    parameterPlace.replaceChildren(kind.description ? h('p', { class: 'soft' }, kind.description) : '', editor.node);
  };
  const chosen = (software) => software?.types?.find(({ id: one }) => one === type?.value);
  const showTypes = (software) => {
    const types = software?.types ?? [];
    const ids = [...types].sort((one, other) => (one.index ?? types.length) - (other.index ?? types.length));
    type = ids.length > 0
      ? h('select', { id: 'type' }, ids.map((one) => h('option', { value: one.id }, one.title && one.title.toLowerCase() !== one.id.toLowerCase() ? `${one.title} (${one.id})` : one.id)))
      : h('input', { type: 'text', id: 'type', value: 'default', autocomplete: 'off' });
    const follow = () => {
      // Some types are only offered as shared.
      shared.checked = Boolean(chosen(software)?.shared);
      edit(software);
    };
    if (ids.length > 0) type.addEventListener('change', follow);
    shared.checked = Boolean(ids[0]?.shared);
    described = software;
    const written = typePlace.querySelector('input')?.value;
    if (type.localName === 'input' && written) type.value = written;
    const parts = [typePlace, parameterPlace];
    const focused = parts.find((part) => part.contains(document.activeElement));
    typePlace.replaceChildren(labelled('Type', type).node);
    found.textContent = !url.value.trim() ? '' : ids.length > 0 ? [software.title ?? software.name, software.description].filter(Boolean).join(': ') : 'It has no schema that can be read: write parameters as the software wants them.';
    edit(software);
    // Who went on meanwhile stays in the same part of the form.
    focused?.querySelector('input, select, textarea')?.focus();
  };
  let asked = url.value;
  const look = async () => {
    if (url.value.trim() === asked.trim()) return;
    asked = url.value;
    found.textContent = 'Reading its schema…';
    try {
      const software = asked.trim() ? await softwareSchema(asked.trim(), project.value) : null;
      if (asked === url.value) showTypes(software);
    } catch (error) {
      found.textContent = '';
      outcome.replaceChildren(problem(error));
      showTypes(null);
    }
  };
  url.addEventListener('change', look);
  // A suggestion that was chosen is one of the list at once.
  url.addEventListener('input', () => softwares.includes(url.value) && look());
  showTypes(first);

  /** What is asked for, or `null` when something is missing, which is said where it is. */
  const read = () => {
    const missing = [[url, urlField], [title, titleField]].filter(([control, field]) => {
      const absent = !control.value.trim();
      field.setError(absent ? 'This is needed.' : '');
      return absent;
    });
    if (missing.length > 0) {
      missing[0][0].focus();
      return null;
    }
    if (!editor.check()) return null;
    const filters = sla.read();
    return {
      title: title.value.trim(), software_release: url.value.trim(), software_type: chosen(described)?.software_type ?? (type.value.trim() || 'default'), parameters: editor.read(),
      ...(project.value ? { project: project.value } : {}), ...(shared.checked ? { shared: true } : {}), ...(Object.keys(filters).length > 0 ? { sla: filters } : {}),
    };
  };
  const submit = async (event, target, done) => {
    event.preventDefault();
    outcome.replaceChildren();
    await look();
    const wanted = read();
    if (!wanted) return;
    try {
      done(await post(target, wanted));
    } catch (error) {
      showRefusal(error, editor, outcome);
    }
  };
  const check = h('button', { type: 'button', id: 'check', on: { click: (event) => submit(event, '/api/v1/requests/check', (answer) => {
    if (answer.schema?.errors?.length > 0) editor.show(answer.schema.errors);
    outcome.replaceChildren(verdict(answer));
  }) } }, 'Check first');
  const ask = (event) => submit(event, '/api/v1/instances', (instance) => {
    if (!instance.guid) {
      const by = instance.master_url ? `The Master ${instance.master_url} serves ${instance.title}.` : `Nobody serves ${instance.title}: it is told its own address.`;
      outcome.replaceChildren(notice('good', by));
      return;
    }
    toast(`${instance.title} is asked for.`);
    go(place('instances', instance.guid));
  });
  return h('form', { class: 'view', novalidate: true, on: { submit: ask } },
    card('What', {}, body(urls, h('div', { class: 'fields' }, urlField.node, found, typePlace, titleField.node,
      projects.length > 1 && labelled('Project', project).node))),
    card('Parameters', {}, body(parameterPlace)),
    card('Where and how', {}, body(
      h('div', { class: 'field' }, h('span', { class: 'label' }, 'Filters'), h('span', { class: 'help' }, 'Without any, the Master chooses among all computers that are open.'), sla.node),
      h('div', { class: 'field' }, h('label', null, shared, ' Shared'), h('span', { class: 'help' }, 'Use a part of an instance that runs already.')))),
    outcome,
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'main', id: 'ask' }, 'Request'), check));
}

function safely(editor) {
  try {
    return editor.read();
  } catch {
    return {};
  }
}

export default {
  title: () => 'Request an instance',
  async load({ query, signal, me }) {
    const [projects, { items }, first] = await Promise.all([
      projectsOf(me, signal),
      list('/api/v1/software', {}, 500, signal),
      query.software ? softwareSchema(query.software, '', signal) : null,
    ]);
    return { softwares: [...new Set(items.map(({ url }) => url))], first, projects };
  },
  draw: (data, context) => view(head('Request an instance'), form(data, context)),
};
