//! How all is, in numbers, is found without reading any table through, whatever the database is.

use slapos_slap::ComputerId;
use sqlx::{Executor as _, Row as _};

use super::super::listing::ASKED;
use super::super::pools::Kind;
use super::super::{Scope, Tx};
use super::*;

/// How the database would find what is asked, one step a line.
async fn plan(tx: &mut Tx, sql: &str, bound: &[String]) -> Vec<String> {
    let explain = match tx.kind() {
        Kind::Sqlite => "EXPLAIN QUERY PLAN",
        Kind::Postgres => "EXPLAIN",
    };
    let mut query = sqlx::query(sqlx::AssertSqlSafe(format!("{explain} {sql}")));
    for value in bound {
        query = query.bind(value.as_str());
    }
    let rows = tx.fetch_all(query).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(row.len() - 1)).collect()
}

/// Whether a step reads a table through, and not an index or what another step found.
fn reads_through(step: &str) -> bool {
    let found_before = [" f", " (subquery", " SUBQUERY", " CONSTANT"];
    let scan = step.trim_start_matches([' ', '-', '>']);
    let own = scan.strip_prefix("SCAN").is_some_and(|rest| {
        !rest.contains(" USING ") && !found_before.iter().any(|name| rest.starts_with(name))
    });
    own || step.contains("Seq Scan on")
}

#[tokio::test]
async fn how_all_is_is_found_without_reading_a_table_through() {
    let fixture = store(3).await;
    let (store, home) = (&fixture.store, ComputerId::new("home"));
    store.supply(&SOFTWARE.into(), &home, "available".parse().unwrap()).await.unwrap();
    fixture.place("root", None).await;
    store.report_instance(&home, &"slappart0".into(), "error", "no").await.unwrap();
    let mut steps = Vec::new();
    for scope in [Scope::All, Scope::Projects(vec!["p".to_owned()]), Scope::Computer(home)] {
        ASKED.take();
        store.summary(&scope).await.unwrap();
        let asked = ASKED.take();
        assert!(asked.len() > 10, "little was asked: {asked:#?}");
        let mut tx = store.read().await.unwrap();
        if tx.kind() == Kind::Postgres {
            // Of tables as small as these it would read the whole: only where there is no other way, now.
            tx.execute("SET LOCAL enable_seqscan = off").await.unwrap();
        }
        assert!(reads_through(&plan(&mut tx, "SELECT filter FROM instance", &[]).await[0]));
        for (sql, bound) in asked {
            let plan = plan(&mut tx, &sql, &bound).await;
            steps.extend(
                plan.into_iter()
                    .filter(|step| reads_through(step))
                    .map(|step| format!("{step}: {sql}")),
            );
        }
    }
    assert!(steps.is_empty(), "{}", steps.join("\n"));
}
