//! Looks at a profile where nothing is to be built: what it says at each stage, where that comes
//! from, what refers to what, and what is doubtful in it.
//!
//! Invariants: no recipe is called and none is known, so an option that is not written in a section
//! with a recipe is *open*: whoever builds may set it, and a reference to it stays as it is; an
//! option that is written is taken as it is written, unless it holds `@@LOCATION@@`, which recipes
//! replace. Broken sections are told, and hide no others.

mod dump;
mod graph;
mod json;
mod lint;
mod values;
mod why;

pub use dump::{Dump, Stage, Table, dump};
pub use graph::{Edge, Graph, Node, graph};
pub use lint::{Finding, Level, Rule, lint};
pub use values::{Value, Values};
pub use why::{Change, Effect, Why, annotate, why};

#[cfg(test)]
mod tests;
