//! Tokens that have ended.

use slapos_slap::token::{digest, id_of_digest};
use slapos_sys::clock::SignedDuration;

use super::*;
use crate::store::Holder;

const DAY: i64 = 86_400 * 1_000_000;

#[tokio::test]
async fn a_token_that_ended_a_month_ago_is_forgotten_and_no_other() {
    let fixture = store(0).await;
    fixture.store.close().await;
    let clock = clock();
    let store = Store::open(&fixture.database, "home".into(), clock.clone()).await.unwrap();
    let (home, now) = (Holder::Computer("home".into()), store.time());
    let ends = [("ever", None), ("soon", Some(DAY)), ("late", Some(40 * DAY)), ("revoked", None)];
    for (label, end) in ends {
        let end = end.map(|after| now + after);
        store.add_token(&home, &digest(label), label, end, None).await.unwrap();
    }
    store.revoke_tokens(&home, Some(&id_of_digest(&digest("revoked")))).await.unwrap();
    let after = |days: i64| clock.advance(SignedDuration::from_hours(24 * days));
    let labels = async || {
        let tokens = store.tokens(&home).await.unwrap();
        let mut labels: Vec<_> = tokens.into_iter().map(|token| token.label).collect();
        labels.sort();
        labels
    };
    after(30);
    assert_eq!(store.forget_tokens().await.unwrap(), 0);
    assert_eq!(labels().await.len(), 4);
    after(1);
    assert_eq!(store.forget_tokens().await.unwrap(), 1);
    assert_eq!(labels().await, ["ever", "late", "soon"]);
    after(1);
    assert_eq!(store.forget_tokens().await.unwrap(), 1);
    assert_eq!(labels().await, ["ever", "late"]);
}
