//! People: the operator brings one in, who sees and changes what belongs to the own projects and no more.

use super::Scene;

#[test]
fn a_person_is_brought_in_and_sees_the_own_things_only() {
    let Some(mut scene) = Scene::signed_in("a_person_is_brought_in_and_sees_the_own_things_only")
    else {
        return;
    };
    let profile = scene.served("hidden");
    let token = brought_in(&mut scene);
    told(&mut scene);
    let address = format!("{}/ui/#token={token}", scene.url);
    scene.browser.visit(&address);
    // An address does not take the session away unasked.
    scene.browser.sees("Sign in as somebody else?");
    let kept = scene.browser.js("sessionStorage.getItem('slapos-token')");
    assert_eq!(kept, scene.token.as_str());
    scene.browser.push("Change");
    scene.browser.until("document.querySelector('#who')?.innerText === 'ada'");
    let ways = "document.querySelector(\"#ways a[href='#/people']\") === null";
    assert_eq!(scene.browser.js(ways), true, "people are for the operator");
    nothing_of_others(&mut scene);
    asks(&mut scene, &profile);
    ends_the_token(&mut scene);
    scene.calm();
}

/// The operator makes a user, a project and a token.
fn brought_in(scene: &mut Scene) -> String {
    scene.at("people", "People");
    let browser = &mut scene.browser;
    browser.sees("Nobody but the operator is known.");
    browser.push("Add a user");
    browser.push("Add");
    browser.sees("This is needed.");
    browser.fill("Name", "ada");
    browser.push("Add");
    browser.until("document.querySelector(\"main a[href='#/people/ada']\")");
    browser.push("Add a project");
    browser.fill("Name", "engine");
    browser.push("Add");
    browser.push("Add a member…");
    browser.push("Add");
    browser.until("document.querySelector('main .tags')?.innerText.includes('ada')");
    browser.shoot("people-known");
    browser.push("Make a token…");
    browser.fill("What it is for", "laptop");
    browser.fill("Days", "soon");
    browser.push("Make a token");
    browser.sees("Days are a number");
    browser.fill("Days", "30");
    browser.push("Make a token");
    browser.sees("The address carries it");
    browser.shoot("token-shown");
    browser.secret()
}

/// The page of the user and the log say it.
fn told(scene: &mut Scene) {
    scene.at("people/ada", "ada");
    scene.browser.sees("engine");
    scene.browser.sees("laptop");
    scene.browser.shoot("person");
    scene.at("audit", "Audit");
    scene.browser.sees("POST /api/v1/users/{name}/tokens");
    scene.browser.sees("PUT /api/v1/projects/{name}/members/{user}");
    scene.browser.shoot("audit-told");
}

fn nothing_of_others(scene: &mut Scene) {
    scene.at("instances", "Instances");
    scene.browser.sees("Nobody asked for an instance yet.");
    scene.at("search?q=hidden", "Search: hidden");
    scene.browser.sees("Nothing fits.");
    for place in ["instances/local-slappart0", "people", "audit"] {
        scene.at("me", "Who you are");
        scene.go(place);
        scene.browser.until("document.querySelector('main .notice.bad')");
    }
}

/// The person asks for an instance, and sees it begin.
fn asks(scene: &mut Scene, profile: &str) {
    scene.at("request", "Request an instance");
    scene.browser.fill("Software Release", profile);
    scene.browser.fill("Title", "mine");
    scene.browser.click("#ask");
    scene.browser.heads("mine");
    scene.browser.sees("engine");
    // Where it lives is said; the computer is the operator's.
    scene.browser.until("document.querySelector('main dl.facts').innerText.includes('local')");
    let links = "document.querySelectorAll(\"main a[href^='#/computers/']\").length";
    assert_eq!(scene.browser.js(links), 0);
    scene.browser.until("document.querySelector('#live').dataset.state === 'live'");
    scene.node.ok(&["node", "instance"]);
    scene.browser.until("document.querySelector('.head .status')?.innerText === 'started'");
    let shown = scene.node.json(&["proxy", "show"]);
    let titles = shown["instances"].as_array().unwrap().iter().map(|one| &one["title"]);
    assert_eq!(titles.collect::<Vec<_>>(), ["hidden", "mine"]);
}

/// What is revoked signs out at once.
fn ends_the_token(scene: &mut Scene) {
    scene.at("me", "Who you are");
    scene.browser.sees("laptop");
    scene.browser.shoot("me-person");
    scene.browser.push("Revoke…");
    scene.browser.push("Revoke");
    scene.browser.until("document.activeElement?.id === 'token'");
}
