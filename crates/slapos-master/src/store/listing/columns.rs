//! What lists read of the tables, and whom each row belongs to: the one place that knows which
//! columns there are.

use super::Scope;
use super::query::Query;

/// The project of a computer `c`.
pub(super) const COMPUTER_PROJECT: &str = "c.project";

/// The project of an instance `i`.
pub(super) const INSTANCE_PROJECT: &str = "i.project";

/// The project of a shared instance `s`.
pub(super) const SHARED_PROJECT: &str = "s.project";

/// The settings of a computer `c`.
pub(super) const COMPUTER_SETTINGS: &str =
    "c.title, c.project, c.allocation_scope, c.labels, c.network, c.capacity";

/// Only the computers `c` that the scope has.
pub(super) fn computers_of(query: Query, scope: &Scope) -> Query {
    match scope {
        Scope::All => query,
        Scope::Projects(projects) => query.one_of(COMPUTER_PROJECT, projects),
        Scope::Computer(computer) => query.and("c.reference = ?", [computer.as_str()]),
    }
}

/// Only the instances `i` that the scope has.
pub(super) fn instances_of(query: Query, scope: &Scope) -> Query {
    match scope {
        Scope::All => query,
        Scope::Projects(projects) => query.one_of(INSTANCE_PROJECT, projects),
        Scope::Computer(computer) => query.and("i.computer = ?", [computer.as_str()]),
    }
}

/// Only the shared instances `s` that the scope has.
pub(super) fn shared_of(query: Query, scope: &Scope) -> Query {
    match scope {
        Scope::All => query,
        Scope::Projects(projects) => query.one_of(SHARED_PROJECT, projects),
        Scope::Computer(computer) => query.and("s.computer = ?", [computer.as_str()]),
    }
}
