//! Instance trees: roots by project and title, then shared instances that a person asked for, which
//! are trees of one.

use std::collections::{BTreeMap, HashMap};

use sqlx::Row as _;

use super::columns::{INSTANCE_PROJECT, SHARED_PROJECT, instances_of, shared_of};
use super::instances::{OWN, SHARED, find, read, read_shared, select, select_shared};
use super::query::Query;
use super::{Scope, Window};
use crate::error::StoreError;
use crate::store::rows::text;
use crate::store::{Store, Tx};
use crate::view::{Instance, Page, Tree, TreeDetail};

impl Store {
    /// Trees; those of one project unless `project` is empty.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub(crate) async fn list_trees(
        &self,
        scope: &Scope,
        window: &Window,
        project: &str,
    ) -> Result<Page<Tree>, StoreError> {
        let keys = window.keys(3)?;
        let mut tx = self.read_long().await?;
        let mut roots = Vec::new();
        let stage = keys.as_ref().map_or(OWN, |keys| keys[0].as_str());
        if stage == OWN {
            let query = instances_of(select(), scope)
                .and("i.root = ''", [])
                .after(&[INSTANCE_PROJECT, "i.title"], keys.as_ref().map(|keys| &keys[1..]))
                .if_given(&format!("{INSTANCE_PROJECT} = ?"), project)
                .search(&["i.title", "i.software"], &window.search);
            let order = format!("{INSTANCE_PROJECT}, i.title");
            let rows = query.rows(&mut tx, &order, window.fetch()).await?;
            roots = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        }
        let missing = window.fetch().saturating_sub(roots.len());
        if missing > 0 {
            let after = keys.filter(|keys| keys[0] == SHARED).map(|keys| keys[1].clone());
            let query = shared_of(select_shared(), scope)
                .and("s.root = ''", [])
                .if_given("s.reference > ?", &after.unwrap_or_default())
                .if_given(&format!("{SHARED_PROJECT} = ?"), project)
                .search(&["s.title", "s.software"], &window.search);
            for row in query.rows(&mut tx, "s.reference", missing).await? {
                roots.push(read_shared(&row)?);
            }
        }
        let page = window.page(roots, key);
        Ok(Page { items: summed(&mut tx, page.items).await?, next: page.next })
    }

    /// The tree of a root with its members, by the root's guid.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such instance in the scope, or it is no root.
    pub(crate) async fn show_tree(
        &self,
        scope: &Scope,
        guid: &str,
    ) -> Result<TreeDetail, StoreError> {
        let mut tx = self.read_long().await?;
        let (row, is_shared) = find(&mut tx, scope, guid).await?;
        let root = if is_shared { read_shared(&row)? } else { read(&row)? };
        if !root.root {
            let title = &root.tree.title;
            return Err(StoreError::NotFound(format!(
                "the instance {guid} is no root: it belongs to the tree of {title}"
            )));
        }
        let mut instances = Vec::new();
        if !is_shared {
            let members = ["i.computer", "i.partition_reference"].join(", ");
            let query = instances_of(select(), scope).and(
                &format!("{INSTANCE_PROJECT} = ? AND i.root = ?"),
                [root.project.as_str(), root.title.as_str()],
            );
            for row in query.all(&mut tx, &members).await? {
                instances.push(read(&row)?);
            }
            let query = shared_of(select_shared(), scope).and(
                &format!("{SHARED_PROJECT} = ? AND s.root = ?"),
                [root.project.as_str(), root.title.as_str()],
            );
            for row in query.all(&mut tx, "s.reference").await? {
                instances.push(read_shared(&row)?);
            }
        }
        instances.insert(0, if is_shared { read_shared(&row)? } else { read(&row)? });
        Ok(TreeDetail { root, instances })
    }
}

/// What identifies a root in the list.
fn key(root: &Instance) -> Vec<String> {
    if root.shared {
        return vec![SHARED.to_owned(), root.guid.clone(), String::new()];
    }
    vec![OWN.to_owned(), root.project.clone(), root.title.clone()]
}

/// What is counted of the members of a tree.
#[derive(Default)]
struct Sums {
    states: BTreeMap<String, i64>,
    failed: i64,
}

impl Sums {
    fn add(&mut self, state: String, count: i64, failed: i64) {
        *self.states.entry(state).or_default() += count;
        self.failed += failed;
    }
}

/// The trees of these roots: one query for the members of all.
async fn summed(tx: &mut Tx, roots: Vec<Instance>) -> Result<Vec<Tree>, StoreError> {
    let titles: Vec<String> =
        roots.iter().filter(|root| !root.shared).map(|root| root.title.clone()).collect();
    let query = Query::new(&format!(
        "SELECT {INSTANCE_PROJECT} AS project, i.root, i.requested_state, count(*) AS members, \
         CAST(sum(CASE WHEN i.reported_state = 'error' THEN 1 ELSE 0 END) AS BIGINT) AS failed \
         FROM instance i"
    ))
    .one_of("i.root", &titles);
    let mut sums: HashMap<(String, String), Sums> = HashMap::new();
    let group = format!("{INSTANCE_PROJECT}, i.root, i.requested_state");
    for row in query.grouped(tx, &group).await? {
        let tree = (text(&row, "project")?, text(&row, "root")?);
        let (members, failed) = (row.try_get("members")?, row.try_get("failed")?);
        sums.entry(tree).or_default().add(text(&row, "requested_state")?, members, failed);
    }
    Ok(roots
        .into_iter()
        .map(|root| {
            let mut sum = Sums::default();
            if !root.shared {
                sum = sums.remove(&(root.project.clone(), root.title.clone())).unwrap_or_default();
            }
            let error = root.reported.as_ref().is_some_and(|report| report.state == "error");
            sum.add(root.state.clone(), 1, i64::from(error));
            Tree {
                project: root.project.clone(),
                title: root.title.clone(),
                instances: sum.states.values().sum(),
                states: sum.states,
                failed: sum.failed,
                root,
            }
        })
        .collect())
}
