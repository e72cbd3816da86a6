// Changing an instance: its parameters, its Software Release, its type, its filters.

import { get, patch, path } from '../api.js';
import { toast } from '../dialog.js';
import { h } from '../dom.js';
import { body, card, head, place, view } from '../parts.js';
import { decode, isNested } from '../parameters.js';
import { parameterEditor, showRefusal } from '../parameter-editor.js';
import { go } from '../router.js';
import { slaEditor } from '../sla.js';
import { softwareSchema, typeOf } from './schema-choice.js';

export default {
  title: ({ guid }) => `Change ${guid}`,
  async load({ params, signal }) {
    const instance = await get(path`/api/v1/instances/${params.guid}`, {}, signal);
    return { instance, software: await softwareSchema(instance.software_release, instance.project, signal) };
  },
  draw({ instance, software }) {
    const described = typeOf(software, instance.software_type, instance.shared);
    const serialisation = described.serialisation ?? (isNested(instance.parameters) ? 'json-in-xml' : 'xml');
    const editor = parameterEditor({ schema: described.request_schema, serialisation, value: decode(instance.parameters) });
    const url = h('input', { type: 'text', id: 'software', value: instance.software_release, spellcheck: 'false', autocomplete: 'off' });
    const type = h('input', { type: 'text', id: 'type', value: instance.software_type, autocomplete: 'off' });
    const sla = slaEditor(instance.sla ?? {});
    const before = JSON.stringify(sla.read());
    const outcome = h('div', { 'aria-live': 'polite', id: 'outcome' });
    const save = async (event) => {
      event.preventDefault();
      outcome.replaceChildren();
      if (!editor.check()) return;
      const filters = sla.read();
      const changed = {
        parameters: editor.read(),
        ...(url.value.trim() !== instance.software_release ? { software_release: url.value.trim() } : {}),
        ...(type.value.trim() !== instance.software_type ? { software_type: type.value.trim() } : {}),
        ...(JSON.stringify(filters) !== before ? { sla: filters } : {}),
      };
      try {
        await patch(path`/api/v1/instances/${instance.guid}`, changed);
        toast(`${instance.title} is changed.`);
        go(place('instances', instance.guid));
      } catch (error) {
        showRefusal(error, editor, outcome);
      }
    };
    return view(
      head(`Change ${instance.title}`, { crumbs: [h('a', { href: place('instances') }, 'Instances'), ' › ', h('a', { href: place('instances', instance.guid) }, instance.title)] }),
      h('form', { class: 'view', novalidate: true, on: { submit: save } },
        card('Parameters', { note: described.title }, body(editor.node)),
        card('Software and placement', {}, body(h('div', { class: 'fields' },
          h('div', { class: 'field' }, h('label', { for: 'software' }, 'Software Release'), h('span', { class: 'help' }, 'Another one is built on the computer before the instance moves to it.'), url),
          h('div', { class: 'field' }, h('label', { for: 'type' }, 'Type'), type),
          h('div', { class: 'field' }, h('span', { class: 'label' }, 'Filters'), sla.node)))),
        outcome,
        h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'main', id: 'save' }, 'Save'), h('a', { class: 'button', href: place('instances', instance.guid) }, 'Cancel'))),
    );
  },
};
