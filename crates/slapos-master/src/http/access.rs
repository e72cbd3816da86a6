//! Who may call what: the kinds of callers, and the rule that comes with every route.
//!
//! Invariants: a route without a rule cannot be written, because [`Route`] has one; the rule is
//! checked before the handler sees the request; what a rule grants for a caller's *own* things only
//! ([`May::Own`]) is checked by the handler, which asks [`Caller`] about the very thing it touches.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodFilter, MethodRouter, on};
use slapos_slap::{ComputerId, PartitionId};

use super::{ApiError, App};

/// Who asks, as was proved.
#[allow(dead_code, reason = "people, nodes and instances get proofs of their own next")]
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

/// How far a rule lets a kind of caller go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// Refused: 403.
    Not,
    /// For what belongs to the caller; anything else is refused with 403.
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

/// One route: what it is for, who may call it, and what answers.
pub(crate) struct Route {
    /// GET, POST, ...
    pub(crate) method: Method,
    /// As `axum` writes it: `/computers/{id}`.
    pub(crate) path: &'static str,
    /// Who may.
    pub(crate) rule: Rule,
    pub(crate) handler: MethodRouter<Arc<App>>,
}

impl Route {
    pub(crate) fn get<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Route { method: Method::GET, path, rule, handler: on(MethodFilter::GET, handler) }
    }

    pub(crate) fn post<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Route { method: Method::POST, path, rule, handler: on(MethodFilter::POST, handler) }
    }

    pub(crate) fn put<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Route { method: Method::PUT, path, rule, handler: on(MethodFilter::PUT, handler) }
    }

    pub(crate) fn patch<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Route { method: Method::PATCH, path, rule, handler: on(MethodFilter::PATCH, handler) }
    }

    pub(crate) fn delete<H, T>(path: &'static str, rule: Rule, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        Route { method: Method::DELETE, path, rule, handler: on(MethodFilter::DELETE, handler) }
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
