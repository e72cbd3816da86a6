//! What is known of a request without the right to write is what the request would find.

use slapos_slap::InstanceState;

use super::*;
use crate::store::{Known, Standing};

async fn known(fixture: &Fixture, request: &InstanceRequest) -> Known {
    let mut request = request.clone();
    request.software_type = "default".to_owned();
    fixture.store.known("", &request).await.unwrap()
}

#[tokio::test]
async fn a_request_for_what_there_is_has_the_same_answer() {
    let fixture = store(3).await;
    let root = wish("root");
    assert!(matches!(
        known(&fixture, &root).await,
        Known::Other { standing: Standing::New, by_instance: false }
    ));
    let mut child = wish("child");
    child.requester = Some(("home".into(), "slappart0".into()));
    for request in [&root, &child] {
        let first = fixture.request(request).await;
        let Known::Repeated(answer) = known(&fixture, request).await else { panic!("{request:?}") };
        assert_eq!(*answer, first);
        assert_eq!(*answer, fixture.request(request).await);
    }
    // A child is never more alive than its root.
    fixture.want("root", InstanceState::Stopped).await;
    child.state = Some(InstanceState::Started);
    let Known::Other { by_instance: true, .. } = known(&fixture, &child).await else {
        panic!("it has to be stopped first")
    };
    let stopped = fixture.request(&child).await;
    assert_eq!(stopped.state, InstanceState::Stopped);
    let Known::Repeated(answer) = known(&fixture, &child).await else { panic!("it is stopped") };
    assert_eq!(*answer, stopped);
}

#[tokio::test]
async fn a_request_for_something_else_is_told_apart() {
    let fixture = store(1).await;
    fixture.request(&wish("root")).await;
    let mut stopped = wish("root");
    stopped.state = Some(InstanceState::Stopped);
    let mut other = wish("root");
    other.parameters = texts(&[("x", "1")]);
    for (request, wanted) in [(stopped, true), (other, false)] {
        let Known::Other { standing: Standing::Here { same }, .. } =
            known(&fixture, &request).await
        else {
            panic!("{request:?}")
        };
        assert_eq!(same, wanted, "{request:?}");
    }
}
