//! People, and the projects in which they own computers and instance trees together.
//!
//! The project `''` is the operator's: nobody is a member of it, and it cannot be made or removed.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::feed::{self, Entry};
use super::rows::{rfc3339, text};
use super::tokens::{self, Holder};
use super::{Store, Tx};
use crate::error::StoreError;

/// A person, or a project, with who or what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) created_at: String,
    /// The projects of a person, or the members of a project.
    pub(crate) with: Vec<String>,
}

impl Store {
    /// Requires that there is a project of that name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub(crate) async fn require_project(&self, name: &str) -> Result<(), StoreError> {
        require_project(&mut self.read().await?, name).await
    }

    /// Makes a person known.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the name cannot be one, [`StoreError::Conflict`] when it is taken.
    pub(crate) async fn add_user(&self, name: &str) -> Result<Named, StoreError> {
        self.add("person", "user", name).await
    }

    /// Makes a project.
    ///
    /// # Errors
    /// As [`Store::add_user`].
    pub(crate) async fn add_project(&self, name: &str) -> Result<Named, StoreError> {
        self.add("project", "project", name).await
    }

    async fn add(&self, table: &str, word: &str, name: &str) -> Result<Named, StoreError> {
        check_name(word, name)?;
        let now = self.now();
        let mut tx = self.write().await?;
        let sql = format!(
            "INSERT INTO {table} (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name).bind(now).execute(&mut *tx);
        if done.await?.rows_affected() == 0 {
            return Err(StoreError::Conflict(format!("there is a {word} {name} already")));
        }
        feed::tell(&mut tx, &Entry::about(word, name, "added"), now).await?;
        tx.commit().await?;
        Ok(Named { name: name.to_owned(), created_at: rfc3339(now), with: Vec::new() })
    }

    /// People in the order of their names, after `after`, each with his projects.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn users(&self, after: &str, limit: i64) -> Result<Vec<Named>, StoreError> {
        self.named(
            "person",
            "SELECT project AS name FROM member WHERE person = $1 ORDER BY project",
            after,
            limit,
        )
        .await
    }

    /// Projects in the order of their names, after `after`, each with its members. Only those of
    /// `member`, if one is named.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn projects(
        &self,
        member: Option<&str>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Named>, StoreError> {
        let members = "SELECT person AS name FROM member WHERE project = $1 ORDER BY person";
        let Some(member) = member else {
            return self.named("project", members, after, limit).await;
        };
        let mut tx = self.read().await?;
        let rows = sqlx::query(
            "SELECT p.name, p.created_at FROM project p JOIN member m ON m.project = p.name \
             WHERE m.person = $1 AND p.name > $2 ORDER BY p.name LIMIT $3",
        )
        .bind(member)
        .bind(after)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?;
        fill(&mut tx, &rows, members).await
    }

    async fn named(
        &self,
        table: &str,
        with: &'static str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Named>, StoreError> {
        let mut tx = self.read().await?;
        let sql =
            format!("SELECT name, created_at FROM {table} WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(limit)
            .fetch_all(&mut *tx)
            .await?;
        fill(&mut tx, &rows, with).await
    }

    /// Forgets a person, with his tokens, what was made with them, and memberships. What he asked for stays: it is his
    /// projects'.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub(crate) async fn remove_user(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        // Those of computers that he made are not forgotten with him.
        tokens::revoke(&mut tx, &Holder::User(name.to_owned()), None, self.now()).await?;
        let sql = "DELETE FROM person WHERE name = $1";
        let done = sqlx::query(sql).bind(name).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Err(no_such("user", name));
        }
        feed::tell(&mut tx, &Entry::about("user", name, "removed"), self.now()).await?;
        tx.commit().await
    }

    /// Forgets a project that owns nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none, [`StoreError::Conflict`] while computers or
    /// instances are its own.
    pub(crate) async fn remove_project(&self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        require_project(&mut tx, name).await?;
        let sql = "SELECT reference FROM computer WHERE project = $1 ORDER BY reference LIMIT 1";
        if let Some(row) = sqlx::query(sql).bind(name).fetch_optional(&mut *tx).await? {
            let computer = text(&row, "reference")?;
            return Err(StoreError::Conflict(format!(
                "the project {name} owns computers, such as {computer}: give them to another first"
            )));
        }
        for table in ["instance", "shared_instance", "forwarded_request"] {
            let sql =
                format!("SELECT title FROM {table} WHERE project = $1 ORDER BY title LIMIT 1");
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name);
            if let Some(row) = query.fetch_optional(&mut *tx).await? {
                let title = text(&row, "title")?;
                return Err(StoreError::Conflict(format!(
                    "the project {name} owns instances, such as {title}: have them destroyed first"
                )));
            }
        }
        let sql = "DELETE FROM project WHERE name = $1";
        sqlx::query(sql).bind(name).execute(&mut *tx).await?;
        feed::tell(&mut tx, &Entry::about("project", name, "removed"), self.now()).await?;
        tx.commit().await
    }

    /// Makes a person a member of a project; nothing changes when he is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when one of them is not known.
    pub(crate) async fn add_member(&self, project: &str, user: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        require_project(&mut tx, project).await?;
        require_user(&mut tx, user).await?;
        sqlx::query(
            "INSERT INTO member (project, person) VALUES ($1, $2) \
             ON CONFLICT (project, person) DO NOTHING",
        )
        .bind(project)
        .bind(user)
        .execute(&mut *tx)
        .await?;
        feed::tell(&mut tx, &Entry::about("project", project, "members"), self.now()).await?;
        tx.commit().await
    }

    /// Takes a person out of a project.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when he is no member of it.
    pub(crate) async fn remove_member(&self, project: &str, user: &str) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let sql = "DELETE FROM member WHERE project = $1 AND person = $2";
        let done = sqlx::query(sql).bind(project).bind(user).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            let message = format!("{user} is no member of a project {project}");
            return Err(StoreError::NotFound(message));
        }
        feed::tell(&mut tx, &Entry::about("project", project, "members"), self.now()).await?;
        tx.commit().await
    }

    /// The projects of a person, sorted.
    ///
    /// # Errors
    /// Only failures of the database.
    pub(crate) async fn projects_of(&self, user: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT project AS name FROM member WHERE person = $1 ORDER BY project";
        let rows = sqlx::query(sql).bind(user).fetch_all(&mut self.reader().await?).await?;
        rows.iter().map(|row| text(row, "name")).collect()
    }
}

/// The rows as people or projects, with what belongs to each.
async fn fill(tx: &mut Tx, rows: &[AnyRow], with: &'static str) -> Result<Vec<Named>, StoreError> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let name = text(row, "name")?;
        let others = sqlx::query(with).bind(name.as_str()).fetch_all(&mut **tx).await?;
        let with = others.iter().map(|row| text(row, "name")).collect::<Result<_, _>>()?;
        found.push(Named { name, created_at: rfc3339(row.try_get("created_at")?), with });
    }
    Ok(found)
}

/// Requires that there is such a person.
pub(super) async fn require_user(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT name FROM person WHERE name = $1";
    let found = sqlx::query(sql).bind(name).fetch_optional(&mut **tx).await?;
    found.map(drop).ok_or_else(|| no_such("user", name))
}

/// Requires that there is such a project; that of the operator always is.
pub(super) async fn require_project(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        return Ok(());
    }
    let sql = "SELECT name FROM project WHERE name = $1";
    let found = sqlx::query(sql).bind(name).fetch_optional(&mut **tx).await?;
    found.map(drop).ok_or_else(|| no_such("project", name))
}

fn no_such(word: &str, name: &str) -> StoreError {
    StoreError::NotFound(format!("there is no {word} {name}"))
}

/// Names stand in addresses, in certificates and on command lines.
pub(crate) fn check_name(word: &str, name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.@".contains(c);
    let good = (1..=64).contains(&name.len())
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "{name:?} cannot name a {word}: at most 64 letters, digits, `_`, `-`, `.` and `@`, the first \
         one a letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "Ann.Lee@example.org", "p-1_2"] {
            assert!(check_name("user", good).is_ok(), "{good}");
        }
        for wrong in ["", "-a", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(check_name("user", wrong).is_err(), "{wrong}");
        }
    }
}
