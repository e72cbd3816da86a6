//! Who may call what: the kinds of callers, and the rule that comes with every route.
//!
//! Invariants: a route without a rule cannot be written, because [`Route`] has one; the rule is
//! checked before the handler sees the request; what a rule grants for a caller's *own* things only
//! ([`May::Own`]) is checked by the handler, which asks [`super::own`] about the very thing it touches.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use slapos_slap::{ComputerId, PartitionId};

use super::{ApiError, App};
use crate::store::Holder;

/// The largest body of a request unless its route says more, in bytes.
const BODY: usize = 4 << 20;

/// How long a request may take unless its route says more, its body included.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// Who asks, as was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever has the Master's own token.
    Operator,
    /// A person, by name.
    User(String),
    /// The node of a computer.
    Computer(ComputerId),
    /// An instance, by where it lives.
    Partition(ComputerId, PartitionId),
}

impl From<Holder> for Caller {
    fn from(holder: Holder) -> Caller {
        match holder {
            Holder::User(name) => Caller::User(name),
            Holder::Computer(computer) => Caller::Computer(computer),
            Holder::Partition(computer, partition) => Caller::Partition(computer, partition),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Operator => f.write_str("operator"),
            Caller::User(name) => write!(f, "user {name}"),
            Caller::Computer(computer) => write!(f, "computer {computer}"),
            Caller::Partition(computer, partition) => write!(f, "partition {computer}/{partition}"),
        }
    }
}

/// Whose requests count together: those of a caller, or of an address that does not say who it is.
#[derive(Debug, Clone)]
pub(super) struct Asker(pub(super) String);

/// How far a rule lets a kind of caller go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Refused: 403.
    Not,
    /// For what belongs to the caller. Nodes and instances are refused anything else with 403, before
    /// anybody looks whether it exists; for people it does not exist: 404.
    Own,
    /// For everything.
    All,
}

/// What each kind of caller may do with a route. The operator may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Whether nothing needs to be proved.
    pub(crate) anybody: bool,
    /// People.
    pub(crate) user: May,
    /// Nodes.
    pub(crate) computer: May,
    /// Instances.
    pub(crate) partition: May,
}

impl Rule {
    /// Strangers too.
    pub(crate) const ANYBODY: Rule =
        Rule { anybody: true, user: May::All, computer: May::All, partition: May::All };
    /// Whoever is known.
    pub(crate) const KNOWN: Rule = Rule { anybody: false, ..Rule::ANYBODY };
    /// Nobody but the operator.
    pub(crate) const OPERATOR: Rule =
        Rule { anybody: false, user: May::Not, computer: May::Not, partition: May::Not };
    /// A node about its computer.
    pub(crate) const NODE: Rule = Rule { computer: May::Own, ..Rule::OPERATOR };
    /// People about what is theirs.
    pub(crate) const USER: Rule = Rule { user: May::Own, ..Rule::OPERATOR };
    /// A node about its computer, an instance about itself.
    pub(crate) const INSTANCE: Rule = Rule { partition: May::Own, ..Rule::NODE };
    /// All that are known, about what is theirs.
    pub(crate) const OWN: Rule = Rule { user: May::Own, ..Rule::INSTANCE };
    /// People about what is theirs, and a node about its computer.
    pub(crate) const USER_OR_NODE: Rule = Rule { user: May::Own, ..Rule::NODE };

    /// How far the caller may go.
    pub(crate) fn grants(self, caller: &Caller) -> May {
        match caller {
            Caller::Operator => May::All,
            Caller::User(_) => self.user,
            Caller::Computer(_) => self.computer,
            Caller::Partition(..) => self.partition,
        }
    }
}

/// Whose doings at a route are kept in the audit log. Refusals always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audited {
    /// Nobody's: reads, and what nodes and instances report, which is told elsewhere, and far too much.
    Nobody,
    /// Those of people, who can change something there.
    People,
    /// Everybody's: something is made or taken back there by which somebody proves who he is, or on which
    /// depends what he may do.
    Everybody,
    /// Those of everybody who was given something there by which he proves who he is, by the word of the
    /// handler, as with `Changes`.
    Given,
    /// Everybody's who changed something, by the word of the handler ([`super::audit::changed_if`]):
    /// nodes and instances ask at each run, and most of it changes nothing.
    Changes,
}

impl Audited {
    /// What is kept unless the route says otherwise: changes that people can make.
    fn usually(method: &Method, path: &str, rule: Rule) -> Audited {
        let reads = *method == Method::GET
            || ["/slapos.get.", "/slapos.allDocs."].iter().any(|word| path.starts_with(word));
        match !reads && (rule.user != May::Not || rule == Rule::OPERATOR) {
            true => Audited::People,
            false => Audited::Nobody,
        }
    }

    /// Whether something that was let through is kept: done by a person or not, having changed
    /// something or not, and how it was answered.
    pub(crate) fn keeps(self, person: bool, changed: bool, status: StatusCode) -> bool {
        match self {
            Audited::Nobody => false,
            Audited::People => person,
            Audited::Everybody => true,
            Audited::Given | Audited::Changes => changed || (person && !status.is_success()),
        }
    }

    /// Whether what is kept is written before it is answered: nobody has anything to prove himself by, or
    /// has lost it, of which the log does not tell.
    pub(crate) fn is_at_once(self) -> bool {
        matches!(self, Audited::Everybody | Audited::Given)
    }
}

/// One route: what it is for, who may call it, and what answers.
pub(crate) struct Route {
    /// GET, POST, ...
    pub(crate) method: Method,
    /// As `axum` writes it: `/computers/{id}`.
    pub(crate) path: &'static str,
    /// Who may.
    pub(crate) rule: Rule,
    /// The largest body, in bytes.
    pub(crate) body: usize,
    /// How long until it has to be answered, its body read included. What is answered bit by bit (a
    /// stream) may go on.
    pub(crate) time: Duration,
    /// Whether a voucher is as good as a token (see [`super::registration`]).
    pub(crate) vouched: bool,
    pub(crate) audited: Audited,
    pub(crate) handler: MethodRouter<Arc<App>>,
}

/// A route of one method, as [`Route`] has one for each.
macro_rules! by_method {
    ($name:ident, $method:ident) => {
        pub(crate) fn $name<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
        where
            H: Handler<T, Arc<App>>,
            T: 'static,
        {
            Route::new(Method::$method, path, rule, on(MethodFilter::$method, handler))
        }
    };
}

impl Route {
    by_method!(get, GET);
    by_method!(post, POST);
    by_method!(put, PUT);
    by_method!(patch, PATCH);
    by_method!(delete, DELETE);

    fn new(
        method: Method,
        path: &'static str,
        rule: Rule,
        handler: MethodRouter<Arc<App>>,
    ) -> Route {
        let audited = Audited::usually(&method, path, rule);
        Route { method, path, rule, body: BODY, time: TIME, vouched: false, audited, handler }
    }

    /// Takes bodies of up to that many bytes.
    pub(crate) fn body(self, body: usize) -> Route {
        Route { body, ..self }
    }

    /// May be called with a voucher.
    pub(crate) fn vouched(self) -> Route {
        Route { vouched: true, ..self }
    }

    /// May take that long.
    pub(crate) fn within(self, time: Duration) -> Route {
        Route { time, ..self }
    }

    /// Has other doings kept in the audit log than usually.
    pub(crate) fn audited(self, audited: Audited) -> Route {
        Route { audited, ..self }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    /// The caller that the guard of the route has recognised; on a route for anybody, there may be none.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, ApiError> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "this needs a caller who is known")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_may_do_everything_and_others_what_the_rule_says() {
        let node = Caller::Computer("c".into());
        let instance = Caller::Partition("c".into(), "p".into());
        assert_eq!(Rule::OPERATOR.grants(&Caller::Operator), May::All);
        assert_eq!(Rule::NODE.grants(&node), May::Own);
        assert_eq!(Rule::NODE.grants(&instance), May::Not);
        assert_eq!(Rule::INSTANCE.grants(&instance), May::Own);
        assert_eq!(Rule::USER.grants(&Caller::User("u".to_owned())), May::Own);
    }
}
