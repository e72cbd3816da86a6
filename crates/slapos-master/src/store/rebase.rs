//! The local root of Software Releases: profiles given as plain paths below it move with it.
//!
//! A tree of profiles that is moved on disk, with `local_software_release_root` changed
//! accordingly, keeps its Software Releases and instances: their paths are rewritten.

use std::path::{Path, PathBuf};

use super::rows::text;
use super::{Store, Tx};
use crate::error::StoreError;

const SETTING: &str = "local_software_release_root";

impl Store {
    /// Takes over a new root, and moves what is below the former one. `exists` tells whether a
    /// profile is there: a path is kept when it still leads to its profile and the new does not.
    ///
    /// # Errors
    /// Only failures of the database.
    pub async fn rebase(
        &self,
        root: &Path,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<(), StoreError> {
        let now = self.now();
        let mut tx = self.write().await?;
        let former = sqlx::query("SELECT value FROM setting WHERE name = $1")
            .bind(SETTING)
            .fetch_optional(&mut *tx)
            .await?;
        let former = former.map_or(Ok("/".to_owned()), |row| text(&row, "value"))?;
        let former = PathBuf::from(former);
        if former == root {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(SETTING)
        .bind(root.to_string_lossy().into_owned())
        .execute(&mut *tx)
        .await?;
        // When one is inside of the other, the paths are right already.
        if !root.starts_with(&former) && !former.starts_with(root) {
            let moved = |url: &str| moved(url, &former, root, &exists);
            move_software(&mut tx, &moved).await?;
            move_instances(&mut tx, &moved, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// The new address of a profile, if it has one.
fn moved(url: &str, from: &Path, to: &Path, exists: impl Fn(&Path) -> bool) -> Option<String> {
    let old = Path::new(url);
    let new = to.join(old.strip_prefix(from).ok()?);
    if exists(old) && !exists(&new) {
        return None;
    }
    new.to_str().map(str::to_owned)
}

async fn move_software(
    tx: &mut Tx,
    moved: &impl Fn(&str) -> Option<String>,
) -> Result<(), StoreError> {
    let rows = sqlx::query("SELECT computer, url FROM software").fetch_all(&mut **tx).await?;
    for row in &rows {
        let (computer, url) = (text(row, "computer")?, text(row, "url")?);
        let Some(new) = moved(&url) else { continue };
        // Supplied under its new address already: the former one is superfluous.
        let sql = "DELETE FROM software WHERE computer = $1 AND url = $2 AND EXISTS \
             (SELECT 1 FROM software other WHERE other.computer = $1 AND other.url = $3)";
        for sql in [sql, "UPDATE software SET url = $3 WHERE computer = $1 AND url = $2"] {
            sqlx::query(sql)
                .bind(computer.as_str())
                .bind(url.as_str())
                .bind(new.as_str())
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

async fn move_instances(
    tx: &mut Tx,
    moved: &impl Fn(&str) -> Option<String>,
    now: i64,
) -> Result<(), StoreError> {
    let rows =
        sqlx::query("SELECT software FROM instance UNION SELECT software FROM shared_instance")
            .fetch_all(&mut **tx)
            .await?;
    for row in &rows {
        let url = text(row, "software")?;
        let Some(new) = moved(&url) else { continue };
        sqlx::query(
            "UPDATE instance SET software = $2, \
             changed_at = CASE WHEN changed_at < $3 THEN $3 ELSE changed_at + 1 END \
             WHERE software = $1",
        )
        .bind(url.as_str())
        .bind(new.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?;
        sqlx::query("UPDATE shared_instance SET software = $2 WHERE software = $1")
            .bind(url.as_str())
            .bind(new.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_former_root_move() {
        let to = |url: &str, there: &str| {
            moved(url, Path::new("/old"), Path::new("/new"), |path| path == Path::new(there))
        };
        assert_eq!(to("/old/a/software.cfg", ""), Some("/new/a/software.cfg".to_owned()));
        assert_eq!(to("/old/a", "/new/a"), Some("/new/a".to_owned()));
        assert_eq!(to("/old/a", "/old/a"), None, "it was not moved");
        for url in ["/older/a", "http://h/old/a", "file:///old/a"] {
            assert_eq!(to(url, ""), None);
        }
    }
}
