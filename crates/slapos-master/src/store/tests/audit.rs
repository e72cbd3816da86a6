//! The log of what people did, of which many entries are written at once.

use super::*;
use crate::store::AuditEntry;

#[tokio::test]
async fn all_entries_are_kept_however_many_come_at_once() {
    let fixture = store(0).await;
    let at = fixture.store.time();
    let entry = |number: u16| AuditEntry {
        at: at + i64::from(number),
        caller: "operator".to_owned(),
        method: "POST".to_owned(),
        route: "/supplySupply".to_owned(),
        about: format!("about {number}"),
        outcome: number,
    };
    let entries: Vec<AuditEntry> = (0..250).map(entry).collect();
    fixture.store.keep_audit(&entries).await.unwrap();
    let told = fixture.store.audit("", 1000).await.unwrap();
    let found: Vec<_> = told.iter().rev().map(|told| (told.about.clone(), told.outcome)).collect();
    let wanted: Vec<_> =
        entries.iter().map(|entry| (entry.about.clone(), i64::from(entry.outcome))).collect();
    assert_eq!(found, wanted);
}
