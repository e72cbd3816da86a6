//! What can be said of a computer: what it may be used for, and by what its machine proves itself.

use super::Scene;

#[test]
fn a_computer_is_drained_labelled_given_a_token_added_and_removed() {
    let test = "a_computer_is_drained_labelled_given_a_token_added_and_removed";
    let Some(mut scene) = Scene::signed_in(test) else { return };
    scene.at("computers/local", "local");
    settings(&mut scene);
    proofs(&mut scene);
    another(&mut scene);
    scene.calm();
}

fn settings(scene: &mut Scene) {
    let browser = &mut scene.browser;
    browser.choose("#scope", "drain");
    browser.until("document.querySelector('dl.facts')?.innerText.includes('draining')");
    browser.push("Change…");
    browser.fill("Labels", "rack=3, ssd");
    browser.fill("Capacity", "some");
    browser.push("Save");
    browser.sees("The capacity is a whole number");
    browser.fill("Capacity", "2");
    browser.push("Save");
    browser.until("document.querySelector('dl.facts')?.innerText.includes('rack=3')");
    browser.sees("2 instances");
    let settings = scene.node.json(&["proxy", "show"])["computers"][0].to_string();
    assert!(settings.contains("\"drain\"") && settings.contains("rack"), "{settings}");
    // Why nothing can be placed is said before it is asked for.
    let profile = scene.node.tree.add_service().display().to_string();
    scene.node.ok(&["supply", &profile, "local"]);
    scene.at("request", "Request an instance");
    scene.browser.fill("Software Release", &profile);
    scene.browser.fill("Title", "nowhere");
    scene.browser.push("Check first");
    scene.browser.sees("The Master would refuse this.");
    scene.browser.sees("drain");
    scene.browser.shoot("request-no-place");
    scene.at("computers/local", "local");
    scene.browser.choose("#scope", "open");
    scene.browser.until("document.querySelector('dl.facts')?.innerText.includes('open')");
}

fn proofs(scene: &mut Scene) {
    let browser = &mut scene.browser;
    browser.push("Make a token…");
    browser.fill("What it is for", "the new machine");
    browser.push("Make a token");
    browser.sees("It is shown once. Who has it may act as this computer.");
    assert!(!browser.secret().is_empty());
    browser.sees("the new machine");
    browser.shoot("computer-token");
    browser.push("Revoke all…");
    browser.push("Revoke");
    browser.sees("There is no token");
    // This Master has no TLS, and says so.
    browser.push("Issue a certificate…");
    browser.push("Issue");
    browser.until("document.querySelector('dialog[open] .notice.bad')");
    browser.shoot("certificate-refused");
    browser.press("Escape");
    browser.until("!document.querySelector('dialog')");
}

fn another(scene: &mut Scene) {
    scene.at("computers", "Computers");
    let browser = &mut scene.browser;
    browser.push("Add a computer");
    browser.fill("Name", "rack-1");
    browser.push("Add");
    browser.sees("This token is shown once.");
    assert!(!browser.secret().is_empty());
    browser.heads("rack-1");
    browser.sees("never seen");
    browser.shoot("computer-new");
    browser.push("Remove…");
    browser.fill("Type rack-1", "rack-1");
    browser.push("Remove");
    browser.heads("Computers");
    browser.until("!document.querySelector('main').innerText.includes('rack-1')");
}
