//! A Master whose database is away: whatever is asked of it, it says when to come again.

use super::super::routes;
use super::asking::about_ann;
use super::world::{Proof, World};

/// Answered from what the Master has in its memory, or is told. There is no cache here, which is said
/// with 503.
const FROM_MEMORY: [&str; 20] = [
    "GET /healthz",
    "POST /useComputer",
    "GET /getComputerPartitionStatus",
    "GET /getSoftwareReleaseListFromSoftwareProduct",
    "GET /getHateoasUrl",
    "GET /getRunId",
    "GET /hateoas/computer_module/Base_getComputerToken",
    "GET /hateoas",
    "GET /hateoas/",
    "POST /slapos.get.v0.hateoas_url",
    "GET /api/v1/proof",
    "GET /api/v1/schema",
    "GET /api/v1/openapi.json",
    "GET /api/v1/authority",
    "GET /",
    "GET /ui/",
    "GET /ui/{*path}",
    "GET /ui",
    "GET /panel",
    "GET /panel/",
];

#[test]
fn every_route_that_needs_the_database_says_when_to_come_again() {
    let world = World::new();
    world.runtime.block_on(world.app.store.close());
    let operator = Proof::Token("the token".to_owned());
    let (mut from_memory, mut wrong) = (Vec::new(), Vec::new());
    for (number, route) in routes().into_iter().enumerate() {
        let (path, body) = about_ann(&route, number);
        let told = world.told(&operator, &route.method, &path, &body).unwrap();
        let place = format!("{} {}", route.method, route.path);
        match told.status {
            503 if told.head.contains("\nretry-after: 5\n") => {}
            503 => wrong.push(format!("{place}: {}", told.head)),
            status if status < 500 => from_memory.push(place),
            status => wrong.push(format!("{place}: {status}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(from_memory, FROM_MEMORY, "these may be answered without the database");
}
