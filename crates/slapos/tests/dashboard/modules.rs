//! What the dashboard's modules compute, in the browser that runs them.

use super::Scene;

/// Gives the list of what is wrong.
const CHECKS: &str = include_str!("modules.js");

#[test]
fn what_modules_compute_is_right() {
    let Some(mut scene) = Scene::signed_in("what_modules_compute_is_right") else { return };
    let wrong = scene.browser.js(CHECKS);
    assert!(wrong["checks"].as_u64().unwrap() > 40, "{wrong}");
    assert_eq!(wrong["wrong"], serde_json::json!([]), "{wrong:#}");
    scene.calm();
}
