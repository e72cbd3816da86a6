//! What is done with instances of a tree: restarted, renamed, banged, bound to a place, and what it forgot destroyed.

use super::Scene;

/// Asks for another instance as long as the parameter `wanted` says so.
const FRONT: &str = r"[buildout]
parts = keeper $${slap-configuration:configuration.wanted}

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.wanted = backend

[backend]
<= slap-connection
recipe = slapos.cookbook:request
name = Backend
software-url = BACK

[keeper]
<= slap-connection
recipe = slapos.cookbook:request
name = Keeper
software-url = QUIET

[nothing]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
";

#[test]
fn a_tree_is_restarted_renamed_banged_placed_and_cleaned() {
    let test = "a_tree_is_restarted_renamed_banged_placed_and_cleaned";
    let Some(mut scene) = Scene::signed_in(test) else { return };
    grown(&mut scene);
    shared(&mut scene);
    restarted(&mut scene);
    renamed(&mut scene);
    banged(&mut scene);
    placed(&mut scene);
    cleaned(&mut scene);
    scene.calm();
}

/// A tree of three.
fn grown(scene: &mut Scene) {
    let node = &scene.node;
    let back = node.tree.add_service().display().to_string();
    let front = node.tree.add_software("front", slapos_testkit::SERVICE_PROFILE);
    let front = front.display().to_string();
    let quiet = node.tree.add_software("quiet", slapos_testkit::SERVICE_PROFILE);
    let quiet = quiet.display().to_string();
    node.tree.write("software/quiet/instance.cfg.in", "[buildout]\nparts =\n");
    let instance = FRONT.replace("BACK", &back).replace("QUIET", &quiet);
    node.tree.write("software/front/instance.cfg.in", instance);
    for software in [&back, &quiet, &front] {
        node.ok(&["supply", software, "local"]);
    }
    node.ok(&["node", "software"]);
    node.ok(&["request", "front", &front]);
    node.ok(&["node", "instance"]);
    scene.at("instances/local-slappart0", "front");
    scene.browser.sees("In the same tree");
    scene.browser.sees("Backend");
}

/// A shared instance is offered nothing that is refused, and ends.
fn shared(scene: &mut Scene) {
    let back = scene.node.tree.add_service().display().to_string();
    scene.node.ok(&["request", "guest", &back, "--slave"]);
    scene.at("instances/_guest", "guest");
    let browser = &mut scene.browser;
    browser.sees("Shares");
    let offered = "[...document.querySelectorAll('.head .actions > *')].map((one) => one.innerText).join(' ')";
    assert_eq!(browser.js(offered), "Change… Destroy…");
    browser.shoot("shared");
    browser.push("Destroy…");
    browser.fill("Type guest", "guest");
    browser.push("Destroy");
    browser.heads("Instances");
    browser.until("!document.querySelector('main').innerText.includes('guest')");
    scene.at("instances/local-slappart0", "front");
}

fn restarted(scene: &mut Scene) {
    let before = scene.node.pids()["sleeper-on-watch"];
    scene.browser.push("Backend");
    scene.browser.heads("Backend");
    scene.browser.sees("Asked for by");
    scene.browser.push("Restart");
    scene.browser.sees("Backend is to be restarted.");
    scene.node.ok(&["node", "instance"]);
    assert_ne!(scene.node.pids()["sleeper-on-watch"], before);
}

fn renamed(scene: &mut Scene) {
    scene.at("instances/local-slappart0", "front");
    scene.browser.push("Rename…");
    scene.browser.fill("Title", "facade");
    scene.browser.push("Rename");
    scene.browser.heads("facade");
    scene.node.ok(&["service", "info", "facade"]);
}

fn banged(scene: &mut Scene) {
    scene.node.ok(&["node", "instance"]);
    let quiet = scene.node.ok(&["node", "instance", "-v"]).told();
    assert!(!quiet.contains("process:"), "{quiet}");
    scene.browser.push("Look again");
    scene.browser.sees("was asked to process facade again");
    let told = scene.node.ok(&["node", "instance", "-v"]).told();
    assert!(told.contains("slappart0: process:"), "{told}");
}

/// The filters of an instance are changed by the form.
fn placed(scene: &mut Scene) {
    let browser = &mut scene.browser;
    browser.push("Change…");
    browser.heads("Change facade");
    browser.push("Add a filter");
    browser.until("document.activeElement?.getAttribute('aria-label') === 'Filter'");
    browser.write("computer_guid");
    browser.press("Tab");
    browser.write("local");
    browser.push("Save");
    browser.heads("facade");
    browser.sees("Placement");
    browser.sees("computer_guid");
}

/// What is not asked for any more is named, and destroyed when somebody says so.
fn cleaned(scene: &mut Scene) {
    let front = scene.node.json(&["service", "info", "facade"])["software-url"].clone();
    let front = front.as_str().unwrap().to_owned();
    scene.node.ok(&["request", "facade", &front, "--parameters", "wanted=nothing"]);
    scene.node.ok(&["node", "instance"]);
    scene.at("instances", "Instances");
    scene.at("instances/local-slappart0", "facade");
    let browser = &mut scene.browser;
    browser.sees("1 instance of this tree is not asked for any more");
    browser.sees("forgotten");
    browser.shoot("forgotten");
    browser.push("Destroy forgotten…");
    browser.sees("This cannot be taken back.");
    browser.push("Destroy");
    browser.until("!document.querySelector('main .notice.warn')");
    browser.sees("to be destroyed");
    scene.node.ok(&["node", "report"]);
    browser.until("!document.querySelector('main').innerText.includes('Backend')");
}
