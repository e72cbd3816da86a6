//! An instance is asked for through a form that its schema makes, by keyboard alone; what comes of it is seen as it
//! happens.

use slapos_testkit::serve_texts;

use super::Scene;

const DESCRIPTION: &str = r#"{
  "name": "Service", "description": "Says a word.", "serialisation": "xml",
  "software-type": {"default": {
    "title": "One", "description": "One service.", "request": "input.json", "response": "output.json", "index": 0
  }}
}"#;

const INPUT: &str = r##"{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object", "required": ["word"],
  "properties": {
    "word": {"title": "Word", "description": "What it says.", "type": "string", "pattern": "^[a-z]+$", "not": {"const": "never"}},
    "size": {"title": "Size", "type": "string", "enum": ["small", "large"], "default": "small"},
    "more": {"title": "More", "type": "object", "properties": {"note": {"type": "string"}}}
  },
  "additionalProperties": false
}"##;

#[test]
fn an_instance_is_asked_for_by_form_and_keyboard_and_its_life_is_seen() {
    let test = "an_instance_is_asked_for_by_form_and_keyboard_and_its_life_is_seen";
    let Some(mut scene) = Scene::signed_in(test) else { return };
    let profile = scene.node.tree.add_service().display().to_string();
    scene.node.tree.write("software/service/software.cfg.json", DESCRIPTION);
    scene.node.tree.write("software/service/input.json", INPUT);
    scene.node.tree.write("software/service/output.json", "{}");
    scene.browser.sees("Nothing fails.");
    scene.node.ok(&["supply", &profile, "local"]);
    // Nobody touches the page: it is told.
    scene.browser.until("document.querySelector('#changes')?.innerText.includes('service')");
    scene.node.ok(&["node", "software"]);
    ask(&mut scene, &profile);
    live(&mut scene);
    change(&mut scene);
    moved(&mut scene);
    end(&mut scene);
    scene.calm();
}

/// From the overview to the instance without a pointer.
fn ask(scene: &mut Scene, profile: &str) {
    let browser = &mut scene.browser;
    browser.js("document.querySelector('h1').focus()");
    browser.tab_to("main a[href='#/request']");
    browser.press("Enter");
    browser.until("document.activeElement?.id === 'software'");
    browser.write(profile);
    browser.press("Tab");
    browser.sees("Says a word.");
    browser.until("document.querySelectorAll('#type option').length === 1");
    assert_eq!(browser.js("document.activeElement.id"), "type", "the key Tab went on");
    browser.tab_to("#title");
    browser.write("mine");
    // Nothing is given that is needed, and nothing is sent.
    browser.tab_to("#check");
    browser.press("Enter");
    browser
        .until("document.activeElement?.closest('.field')?.innerText.includes('This is needed.')");
    browser.write("NO");
    browser.tab_to("#ask");
    browser.press("Enter");
    browser.until("document.activeElement?.closest('.field')?.innerText.includes('Has to match')");
    browser.shoot("request-refused");
    // What only the Master can judge is said at the field, too.
    browser.js("document.activeElement.select()");
    browser.write("never");
    browser.tab_to("#ask");
    browser.press("Enter");
    browser.sees("The Master refused these parameters.");
    browser
        .until("document.activeElement?.closest('.field')?.innerText.includes('is not allowed')");
    browser.shoot("request-refused-by-master");
    browser.js("document.activeElement.select()");
    browser.write("bonjour");
    browser.tab_to("#check");
    browser.press("Enter");
    browser.sees("A new instance would be made.");
    browser.shoot("request-checked");
    browser.tab_to("#ask");
    browser.press("Enter");
    browser.until("document.querySelector('h1')?.innerText === 'mine'");
    assert_eq!(
        scene.node.json(&["service", "info", "mine"])["instance-parameters"]["word"],
        "bonjour"
    );
}

/// What the node does is seen without asking again.
fn live(scene: &mut Scene) {
    scene.browser.sees("It has published nothing yet.");
    scene.browser.js("window.same = true");
    scene.node.ok(&["node", "instance"]);
    let published = "document.querySelector('.columns .card').innerText";
    scene
        .browser
        .until(&format!("{published}.includes('word') && {published}.includes('bonjour')"));
    scene.browser.until("document.querySelector('.head .status')?.innerText === 'started'");
    assert_eq!(scene.browser.js("window.same"), true);
    scene.browser.shoot("instance-started");
}

fn change(scene: &mut Scene) {
    let browser = &mut scene.browser;
    browser.click("a[href$='/change']");
    browser.until("document.querySelector('h1')?.innerText === 'Change mine'");
    browser.until("document.querySelector('.fields .field input').value === 'bonjour'");
    browser.js("document.querySelector('.fields .field input').select()");
    browser.js("document.querySelector('.fields .field input').focus()");
    browser.write("salut");
    browser.click("#save");
    browser.until("document.querySelector('h1')?.innerText === 'mine'");
    assert_eq!(
        scene.node.json(&["service", "info", "mine"])["instance-parameters"]["word"],
        "salut"
    );
}

/// Another Software Release is supplied with the change.
fn moved(scene: &mut Scene) {
    let other = scene.node.tree.add_software("other", "[buildout]\nparts =\n");
    let other = other.display().to_string();
    let browser = &mut scene.browser;
    browser.push("Change…");
    browser.heads("Change mine");
    let offered = "document.querySelector('#supply')?.checkVisibility()";
    assert_eq!(browser.js(offered), false);
    browser.fill("Software Release", &other);
    browser.until(offered);
    browser.sees("Have local build it");
    browser.shoot("change-release");
    browser.push("Save");
    browser.heads("mine");
    browser.until("document.querySelector('main dl.facts').innerText.includes('other')");
    let supplied = scene.node.json(&["proxy", "show"])["software"].to_string();
    assert!(supplied.contains(&other), "{supplied}");
    scene.node.ok(&["node", "software"]);
}

/// Destroyed only when its title is typed.
fn end(scene: &mut Scene) {
    let browser = &mut scene.browser;
    browser.click(".head .danger");
    browser.until("document.querySelector('dialog[open]')");
    assert_eq!(browser.js("document.querySelector('dialog .danger').disabled"), true);
    browser.press("Escape");
    browser.until("!document.querySelector('dialog')");
    browser.click(".head .danger");
    browser.until("document.activeElement?.matches('dialog input')");
    browser.write("mine");
    browser.press("Enter");
    browser.until("document.querySelector('.head .status')?.innerText === 'to be destroyed'");
    scene.node.ok(&["node", "report"]);
    scene.go("instances");
    scene.browser.sees("Nobody asked for an instance yet.");
}

/// A person, and a release of the own network whose host the operator has named.
#[test]
fn a_person_gets_the_form_of_a_release_that_a_server_has() {
    let test = "a_person_gets_the_form_of_a_release_that_a_server_has";
    let Some(mut scene) = Scene::new(test) else { return };
    let port = serve_texts(&[
        ("software.cfg.json", DESCRIPTION),
        ("input.json", INPUT),
        ("output.json", "{}"),
    ]);
    let option = format!("[slapproxy]\nschema_http = localhost:{port}");
    scene.node.configure("[slapproxy]", &option);
    scene.node.ok(&["down"]);
    scene.node.ok(&["up"]);
    scene.node.ok(&["proxy", "user", "add", "ada"]);
    scene.node.ok(&["proxy", "project", "add", "engine"]);
    scene.node.ok(&["proxy", "project", "join", "engine", "ada"]);
    let token = scene.node.ok(&["proxy", "token", "create", "--user", "ada"]).out;
    let address = format!("{}/ui/#token={}", scene.url, token.trim());
    scene.browser.visit(&address);
    scene.browser.until("document.querySelector('#who')?.innerText === 'ada'");
    scene.at("request", "Request an instance");
    let profile = format!("http://localhost:{port}/service/software.cfg");
    scene.browser.fill("Software Release", &profile);
    // It is read when the field is left.
    scene.browser.press("Tab");
    scene.browser.sees("Says a word.");
    scene.browser.fill("Title", "mine");
    scene.browser.fill("Word", "never");
    scene.browser.click("#ask");
    scene.browser.sees("The Master refused these parameters.");
    scene.browser.shoot("request-form-of-a-server");
    scene.calm();
}
