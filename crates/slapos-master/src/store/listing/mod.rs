//! Lists for people and programs: parts of what is remembered, in a stable order, and only what the
//! caller may see.
//!
//! Invariants: a part of a list costs its own length and not that of what comes before it (a cursor
//! is the key of the last item, never a count), except that a search reads on until it has found
//! enough; whoever may not see something cannot tell it from what is not there.

mod columns;
mod computers;
mod forwarded;
mod instances;
mod numbers;
mod promises;
mod query;
mod search;
mod software;
mod summary;
mod trees;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use slapos_slap::{ComputerId, InstanceRequest};

#[cfg(test)]
pub(super) use self::query::ASKED;
pub(super) use self::query::Query;
use super::Store;
use super::pools::Kind;
use super::rows::text;
use crate::error::StoreError;
use crate::view::Page;

pub(crate) use instances::InstanceFilter;
pub(super) use instances::find as find_instance;
pub(crate) use software::STATES as SOFTWARE_STATES;

/// The longest part of a list.
pub(crate) const MOST: usize = 500;

/// Whose things a caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everybody's.
    All,
    /// Those of these projects.
    Projects(Vec<String>),
    /// Those on this computer.
    Computer(ComputerId),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// At most that many items, up to [`MOST`].
    pub(crate) limit: usize,
    /// What [`Page::next`] was; empty for the beginning.
    pub(crate) after: String,
    /// Only what has this text somewhere; everything if empty.
    pub(crate) search: String,
}

impl Window {
    /// The keys in the cursor, which must be that many; none at the beginning.
    pub(crate) fn keys(&self, count: usize) -> Result<Option<Vec<String>>, StoreError> {
        if self.after.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.after).unwrap_or_default();
        match serde_json::from_slice::<Vec<String>>(&bytes) {
            // No database has a text with this character.
            Ok(keys) if keys.len() == count && !keys.iter().any(|key| key.contains('\0')) => {
                Ok(Some(keys))
            }
            _ => Err(StoreError::Invalid(
                "`after` is not the `next` of an earlier part of this list: leave it out to begin \
                 anew"
                    .to_owned(),
            )),
        }
    }

    /// One more than is answered, so that it is known whether there is more.
    fn fetch(&self) -> usize {
        self.limit.clamp(1, MOST).saturating_add(1)
    }

    /// Cuts what was fetched to a part; `key` gives what identifies an item.
    fn page<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> Vec<String>) -> Page<T> {
        let limit = self.fetch() - 1;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| cursor(&key(last)));
        Page { items, next }
    }
}

impl Store {
    /// The kind of database, and what tells this one from another.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn identity(&self) -> Result<(&'static str, String), StoreError> {
        let mut tx = self.read_long().await?;
        Ok((self.kind(), super::changes::era(&mut tx).await?))
    }

    /// The kind of database.
    pub(crate) fn kind(&self) -> &'static str {
        match self.pools.kind {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgresql",
        }
    }

    /// The guid, or reference, of the root that a request of a person means, if it is there.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn meant_by(
        &self,
        project: &str,
        request: &InstanceRequest,
    ) -> Result<Option<String>, StoreError> {
        let mut tx = self.read_long().await?;
        let (query, name) = if request.shared {
            (instances::select_shared(), "s")
        } else {
            (instances::select(), "i")
        };
        let condition = format!("{name}.project = ? AND {name}.root = '' AND {name}.title = ?");
        let query = query.and(&condition, [project, request.title.as_str()]);
        let found = query.rows(&mut tx, &format!("{name}.title"), 1).await?;
        let Some(row) = found.first() else { return Ok(None) };
        if request.shared {
            return text(row, "reference").map(Some);
        }
        Ok(Some(format!("{}-{}", text(row, "computer")?, text(row, "partition_reference")?)))
    }
}

/// Keys as an opaque text.
pub(crate) fn cursor(keys: &[String]) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::json!(keys).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_it_was_made_of_and_nothing_else_is_one() {
        let keys = ["a/é\"".to_owned(), String::new()];
        let window = |after: &str| Window { after: after.to_owned(), ..Window::default() };
        assert_eq!(window(&cursor(&keys)).keys(2).unwrap().unwrap(), keys);
        assert_eq!(window("").keys(2).unwrap(), None);
        for wrong in [cursor(&keys[..1]), cursor(&["\0".into(), "".into()]), "?".into(), "7".into()]
        {
            assert!(matches!(window(&wrong).keys(2), Err(StoreError::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn a_part_says_where_the_next_begins_only_if_there_is_one() {
        let window = Window { limit: 2, ..Window::default() };
        assert_eq!(window.fetch(), 3);
        let key = |number: &i32| vec![number.to_string()];
        let page = window.page(vec![1, 2, 3], key);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(cursor(&["2".to_owned()]))));
        assert_eq!(window.page(vec![1, 2], key).next, None);
        assert_eq!(Window { limit: 9999, ..Window::default() }.fetch(), MOST + 1);
    }
}
