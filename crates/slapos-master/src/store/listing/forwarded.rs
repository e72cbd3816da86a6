//! What other Masters serve: by project, root, title and whether it is shared.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::query::Query;
use super::{Scope, Window};
use crate::error::StoreError;
use crate::store::Store;
use crate::store::rows::{rfc3339, text};
use crate::view::{Forwarded, Page, TreeName};

impl Store {
    /// Requests that other Masters serve; those of one project unless `project` is empty.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub(crate) async fn list_forwarded(
        &self,
        scope: &Scope,
        window: &Window,
        project: &str,
    ) -> Result<Page<Forwarded>, StoreError> {
        let keys = window.keys(4)?;
        let select = Query::new(
            "SELECT project, root, title, shared, master_url, forwarded_title, software, \
             software_type, forwarded_at FROM forwarded_request",
        );
        let query = match scope {
            Scope::All => select,
            Scope::Projects(projects) => select.one_of("project", projects),
            // They are on no computer of ours.
            Scope::Computer(_) => select.one_of("project", &[]),
        };
        let columns = ["project", "root", "title", "CAST(shared AS TEXT)"];
        let query = query
            .after(&columns, keys.as_deref())
            .if_given("project = ?", project)
            .search(&["title", "software", "master_url"], &window.search);
        let mut tx = self.read_long().await?;
        let rows = query.rows(&mut tx, "project, root, title, shared", window.fetch()).await?;
        let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(window.page(items, key))
    }
}

fn key(one: &Forwarded) -> Vec<String> {
    let root = if one.root { String::new() } else { one.tree.title.clone() };
    vec![one.project.clone(), root, one.title.clone(), i32::from(one.shared).to_string()]
}

fn read(row: &AnyRow) -> Result<Forwarded, StoreError> {
    let (project, root, title) = (text(row, "project")?, text(row, "root")?, text(row, "title")?);
    Ok(Forwarded {
        root: root.is_empty(),
        tree: TreeName {
            project: project.clone(),
            title: if root.is_empty() { title.clone() } else { root },
        },
        shared: row.try_get::<i64, _>("shared")? != 0,
        master_url: text(row, "master_url")?,
        title_there: text(row, "forwarded_title")?,
        software_release: text(row, "software")?,
        software_type: text(row, "software_type")?,
        asked_at: rfc3339(row.try_get("forwarded_at")?),
        project,
        title,
    })
}
