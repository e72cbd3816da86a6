//! One text looked for everywhere.

use super::{InstanceFilter, Scope, Window};
use crate::error::StoreError;
use crate::store::Store;
use crate::view::Found;

/// The most that is found of each kind.
const MOST_FOUND: usize = 10;

impl Store {
    /// What has the text in its names or addresses. Each kind is a look of its own: what changes in
    /// between may be found twice or not at all.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn find_everywhere(
        &self,
        scope: &Scope,
        search: &str,
    ) -> Result<Found, StoreError> {
        let window = Window { limit: MOST_FOUND, after: String::new(), search: search.to_owned() };
        let everything = InstanceFilter::default();
        Ok(Found {
            computers: self.list_computers(scope, &window, "").await?.items,
            software: self.list_software(scope, &window, "", "").await?.items,
            trees: self.list_trees(scope, &window, "").await?.items,
            instances: self.list_instances(scope, &window, &everything).await?.items,
        })
    }
}
