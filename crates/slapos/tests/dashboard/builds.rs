//! What a node tells while one looks: how far a build is, with its log, and what came of promises over several runs.

use std::os::unix::fs::PermissionsExt as _;

use super::Scene;

/// Three parts, of which the second waits for a file.
const GATED: &str = r"[buildout]
parts = before gate after

[before]
recipe = plone.recipe.command
command = true

[gate]
recipe = plone.recipe.command
command = while ! test -e GATE; do sleep 0.1; done

[after]
recipe = plone.recipe.command
command = true
";

#[test]
fn a_build_is_seen_part_by_part_with_its_log() {
    let Some(mut scene) = Scene::signed_in("a_build_is_seen_part_by_part_with_its_log") else {
        return;
    };
    let gate = scene.node.path("gate");
    let profile = GATED.replace("GATE", &gate.display().to_string());
    let profile = scene.node.tree.add_software("gated", &profile).display().to_string();
    scene.node.ok(&["supply", &profile, "local"]);
    scene.at(&format!("software/{}", profile.replace('/', "%2F")), "gated");
    let mut build = scene.node.start(&["node", "software"]);
    scene.browser.sees("1 of 3, now gate");
    assert_eq!(scene.browser.js("document.querySelector('main progress').value"), 1);
    scene.browser.until("document.querySelector('#log')?.innerText.includes('install gate')");
    scene.browser.until("document.querySelector('main .status')?.innerText === 'building'");
    scene.browser.shoot("build-running");
    scene.go("");
    scene.browser.sees("1 building");
    scene.browser.js("history.back()");
    std::fs::write(&gate, "").unwrap();
    scene.browser.until("document.querySelector('#log')?.innerText.includes('install after')");
    scene.browser.until("document.querySelector('main .status')?.innerText === 'available'");
    assert!(build.wait().unwrap().success());
    scene.browser.until("!document.querySelector('main progress')");
    scene.calm();
}

#[test]
fn promises_are_seen_over_time() {
    let Some(mut scene) = Scene::signed_in("promises_are_seen_over_time") else { return };
    scene.served("one");
    scene.at("instances/local-slappart0", "one");
    scene.browser.sees("1 promise, all hold");
    promise(&scene, "echo there is room");
    scene.node.ok(&["node", "instance", "--all"]);
    scene.browser.sees("2 promises, all hold");
    promise(&scene, "echo it is full; exit 1");
    scene.node.fails(2, &["node", "instance", "--all"]);
    scene.browser.sees("1 of 2 broken");
    scene.browser.sees("it is full");
    scene.browser.until("document.querySelector('.head .status')?.innerText === 'error'");
    promise(&scene, "echo there is room again");
    scene.node.ok(&["node", "instance", "--all"]);
    scene.browser.sees("2 promises, all hold");
    scene.browser.sees("Broken 1 time in");
    let drawn = "[...document.querySelectorAll('.plot')].map((plot) => \
                 [...plot.querySelectorAll('rect')].map((bar) => bar.getAttribute('class')).join(' '))";
    let drawn = scene.browser.js(drawn);
    assert!(drawn.as_array().unwrap().contains(&"ok failed ok".into()), "{drawn}");
    scene.browser.choose("#range", "3600");
    scene.browser.sees("Broken 1 time in");
    scene.browser.shoot("promises");
    scene.calm();
}

/// Makes the promise `disk` of the first partition do that.
pub(crate) fn promise(scene: &Scene, text: &str) {
    let path = scene.node.partition(0).join("etc/promise/disk");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
