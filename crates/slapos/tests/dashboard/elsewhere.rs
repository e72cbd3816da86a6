//! What other Masters serve.

use slapos_testkit::TestNode;

use super::Scene;

const SOFTWARE: &str = "http://back/software.cfg";

#[test]
fn what_other_masters_serve_is_listed_without_their_tokens() {
    let test = "what_other_masters_serve_is_listed_without_their_tokens";
    let Some(mut scene) = Scene::new(test) else { return };
    let back = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
    back.ok(&["up", "--partitions", "1"]);
    let there = back.master_url().replace("http://", &format!("http://me:{}@", back.token()));
    let file = scene.node.root().join("etc/slapos.cfg");
    let more = format!("\n[multimaster/{there}]\nsoftware_release_list = {SOFTWARE}\n");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &more).unwrap();
    scene.node.ok(&["down"]);
    scene.node.ok(&["up"]);
    scene.node.ok(&["request", "far", SOFTWARE]);
    let address = format!("{}/ui/#token={}&to=/instances", scene.url, scene.token);
    scene.browser.visit(&address);
    scene.browser.heads("Instances");
    scene.browser.sees("Served by other Masters");
    scene.browser.sees("there user_far");
    scene.browser.shoot("elsewhere");
    let told = scene.browser.js("document.documentElement.outerHTML").to_string();
    assert!(!told.contains(&back.token()), "the token of another Master is shown");
    scene.calm();
}
