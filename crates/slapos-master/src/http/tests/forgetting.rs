//! What a Master forgets by itself.

use std::sync::Arc;
use std::time::Duration;

use slapos_slap::token::digest;
use tokio::sync::oneshot;

use super::{config, runtime};
use crate::Master;
use crate::store::Holder;

#[test]
fn a_token_that_ended_long_ago_is_forgotten_by_a_master_that_serves() {
    let directory = tempfile::tempdir().unwrap();
    let database = crate::testing::database(&directory.path().join("proxy.db"));
    runtime().block_on(async {
        let master = Master::bind(config(database, 0)).await.unwrap();
        let (app, holder) = (Arc::clone(&master.app), Holder::Computer("computer".into()));
        app.store.add_token(&holder, &digest("old"), "old", Some(1), None).await.unwrap();
        app.store.add_token(&holder, &digest("new"), "new", None, None).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(master.serve(async { drop(stopped.await) }));
        let labels = async || {
            let tokens = app.store.tokens(&holder).await.unwrap();
            tokens.into_iter().map(|token| token.label).collect::<Vec<_>>()
        };
        let forgotten = async {
            while labels().await.len() > 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), forgotten).await.unwrap();
        assert_eq!(labels().await, ["new"]);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    });
}
