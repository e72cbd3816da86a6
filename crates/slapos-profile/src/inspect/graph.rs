//! Which sections the parts need, by their references.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde::Serialize;

use super::values::Values;
use crate::reference::{Piece, split};
use crate::scan::PART_DEPENDENCIES;

/// A section that parts need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The section.
    pub name: String,
    /// Whether `[buildout] parts` names it.
    pub part: bool,
    /// Its recipe, if it has one.
    pub recipe: Option<String>,
    /// `file:line` of its header; `None` if it is not defined.
    pub at: Option<String>,
}

/// A section that refers to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The one that refers.
    pub from: String,
    /// The one referred to.
    pub to: String,
    /// The options of `from` in which it does.
    pub options: Vec<String>,
    /// `file:line` of the first one.
    pub at: String,
}

/// The sections that the parts need, directly or not; `buildout` is left out, since everything
/// needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// The sections, parts first, in the order in which they are reached.
    pub nodes: Vec<Node>,
    /// Who refers to whom.
    pub edges: Vec<Edge>,
}

/// A `${section:option}` in an expanded section.
pub(super) struct Use<'v> {
    pub(super) from: &'v str,
    pub(super) from_option: &'v str,
    pub(super) section: &'v str,
    /// `None` for a part dependency, which names no option.
    pub(super) option: Option<&'v str>,
    /// Where in the value of `from_option`.
    pub(super) offset: usize,
}

/// All references of a section.
pub(super) fn uses<'v>(values: &'v Values<'_>, section: &'v str) -> Vec<Use<'v>> {
    let mut found = Vec::new();
    let Some((_, from, expanded)) = values.sections().get_full(section) else {
        return found;
    };
    for (option, value) in &expanded.options {
        let text = value.value.as_str();
        if option == PART_DEPENDENCIES {
            let dependency = |word: &'v str| Use {
                from,
                from_option: option,
                section: word,
                option: None,
                offset: word.as_ptr() as usize - text.as_ptr() as usize,
            };
            found.extend(text.split_whitespace().map(dependency));
        }
        for piece in split(text) {
            if let Piece::Reference { section: other, option: wanted, whole } = piece {
                let own = other.is_empty();
                found.push(Use {
                    from,
                    from_option: option,
                    section: if own { from } else { &text[other] },
                    option: Some(&text[wanted]),
                    offset: whole.start,
                });
            }
        }
    }
    found
}

/// The sections named by `[buildout] parts`; if that is not set, all that have a recipe.
pub(super) fn parts(values: &Values<'_>) -> Vec<String> {
    if values.profile().raw("buildout", "parts").is_some() {
        let text = values.text("buildout", "parts");
        return text.split_whitespace().map(str::to_owned).collect();
    }
    let sections = values.sections().keys().filter(|name| values.has_recipe(name));
    sections.map(|name| (*name).to_owned()).collect()
}

/// The sections that the parts need, the parts included.
pub(super) fn reached(values: &Values<'_>) -> HashSet<String> {
    let mut next = parts(values);
    let mut reached: HashSet<String> = next.iter().cloned().collect();
    while let Some(name) = next.pop() {
        for used in uses(values, &name).iter().filter(|used| used.section != "buildout") {
            if !reached.contains(used.section) {
                reached.insert(used.section.to_owned());
                next.push(used.section.to_owned());
            }
        }
    }
    reached
}

/// What the parts of a profile need.
#[must_use]
pub fn graph(values: &Values<'_>) -> Graph {
    let parts = parts(values);
    let named: HashSet<&str> = parts.iter().map(String::as_str).collect();
    let mut reached: IndexMap<String, ()> = parts.iter().cloned().map(|name| (name, ())).collect();
    let mut graph = Graph::default();
    let mut next = 0;
    while let Some((name, ())) = reached.get_index(next) {
        let name = name.clone();
        next += 1;
        let section = values.profile().sections().get(&name);
        graph.nodes.push(Node {
            part: named.contains(name.as_str()),
            recipe: values.has_recipe(&name).then(|| values.text(&name, "recipe")),
            at: section.map(|section| values.profile().location(section.header)),
            name: name.clone(),
        });
        let edges = edges(values, &name);
        reached.extend(edges.iter().map(|edge| (edge.to.clone(), ())));
        graph.edges.extend(edges);
    }
    graph
}

fn edges(values: &Values<'_>, name: &str) -> Vec<Edge> {
    let mut edges: IndexMap<&str, Edge> = IndexMap::new();
    let uses = uses(values, name);
    for used in uses.iter().filter(|u| u.section != name && u.section != "buildout") {
        let edge = edges.entry(used.section).or_insert_with(|| Edge {
            from: name.to_owned(),
            to: used.section.to_owned(),
            options: Vec::new(),
            at: used.at(values),
        });
        // Uses come option by option.
        if edge.options.last().is_none_or(|option| option != used.from_option) {
            edge.options.push(used.from_option.to_owned());
        }
    }
    edges.into_values().collect()
}

impl Use<'_> {
    /// `file:line` of the reference.
    pub(super) fn at(&self, values: &Values<'_>) -> String {
        let value = values.sections().get(self.from).and_then(|s| s.options.get(self.from_option));
        value.map_or_else(String::new, |v| values.profile().location(v.origin(self.offset).0))
    }
}

impl Graph {
    /// The names of the sections.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The graph in the language of Graphviz: parts are bold boxes, other sections with a recipe
    /// boxes, those without ellipses, undefined ones red.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph profile {\n  rankdir = LR;\n");
        let ids: HashMap<&str, String> = self.names().map(|name| (name, quoted(name))).collect();
        for node in &self.nodes {
            let mut style = vec![match node.recipe {
                Some(_) => "shape=box".to_owned(),
                None => "shape=ellipse".to_owned(),
            }];
            if node.part {
                style.push("style=bold".to_owned());
            }
            match (&node.at, &node.recipe) {
                (None, _) => style.push("color=red".to_owned()),
                (_, Some(recipe)) => style.push(format!("tooltip={}", quoted(recipe))),
                _ => {}
            }
            text.push_str(&format!("  {} [{}];\n", ids[node.name.as_str()], style.join(", ")));
        }
        for edge in &self.edges {
            let (from, to) = (quoted(&edge.from), quoted(&edge.to));
            let why = quoted(&edge.options.join(", "));
            text.push_str(&format!("  {from} -> {to} [tooltip={why}];\n"));
        }
        text.push_str("}\n");
        text
    }
}

/// As Graphviz reads strings.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
