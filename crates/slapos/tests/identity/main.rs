//! Who may do what, with the real program on all sides: the operator's commands, a Master by https, a
//! node that registers by token and goes on by certificate, people, and those who are refused.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod alone;
mod clock;
mod fleet;
mod forge;
mod limits;
mod master;
mod names;
mod node;
mod people;
mod recognition;
mod renewal;
mod schemas;

#[test]
fn the_same_on_postgresql() {
    // The rest waits for certificates to end, or is about no database.
    let words = ["a_master_alone", "fleet::", "limits::", "names::", "people::", "recognition::"];
    slapos_testkit::again_on_postgresql("the_same_on_postgresql", &words, 10);
}
