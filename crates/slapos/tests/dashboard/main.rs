//! The dashboard in a real browser, served by the real Master of a real node.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests arrange files and run programs directly"
)]

mod address;
mod browser;
mod builds;
mod certificates;
mod computers;
mod elsewhere;
#[allow(dead_code, reason = "those who use all of it are elsewhere")]
#[path = "../identity/master.rs"]
mod master;
mod modules;
mod people;
mod requests;
mod trees;
mod views;

use slapos_testkit::TestNode;

use browser::Browser;

/// A node with its Master, and a browser.
struct Scene {
    node: TestNode,
    browser: Browser,
    /// The Master's.
    url: String,
    token: String,
}

impl Scene {
    /// A node without software; nothing where there is no browser.
    fn new(test: &str) -> Option<Scene> {
        let browser = Browser::start(test)?;
        let node = TestNode::new(env!("CARGO_BIN_EXE_slapos"));
        node.ok(&["up", "--partitions", "3"]);
        let (url, token) = (node.master_url(), node.token());
        Some(Scene { node, browser, url, token })
    }

    /// The same, with the operator signed in.
    fn signed_in(test: &str) -> Option<Scene> {
        let mut scene = Scene::new(test)?;
        let address = format!("{}/ui/#token={}", scene.url, scene.token);
        scene.browser.visit(&address);
        scene.browser.until("document.querySelector('h1')?.innerText === 'Overview'");
        Some(scene)
    }

    /// Goes to a view by its address.
    fn go(&mut self, place: &str) {
        self.browser.js(&format!("location.hash = {}", serde_json::json!(format!("#/{place}"))));
    }

    /// Goes to a view of that heading.
    fn at(&mut self, place: &str, title: &str) {
        self.go(place);
        self.browser.heads(title);
    }

    /// A Software Release that is built, and an instance of it that runs.
    fn served(&mut self, title: &str) -> String {
        let profile = self.node.tree.add_service().display().to_string();
        self.node.ok(&["supply", &profile, "local"]);
        self.node.ok(&["node", "software"]);
        self.node.ok(&["request", title, &profile]);
        self.node.ok(&["node", "instance"]);
        profile
    }

    fn calm(&mut self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn one_signs_in_and_out_and_no_token_stays_in_the_address() {
    let test = "one_signs_in_and_out_and_no_token_stays_in_the_address";
    let Some(mut scene) = Scene::new(test) else { return };
    let (url, token) = (scene.url.clone(), scene.token.clone());
    let browser = &mut scene.browser;
    browser.visit(&format!("{url}/ui/"));
    browser.until("document.activeElement?.id === 'token'");
    browser.sees("slapos proxy dashboard");
    browser.shoot("sign-in");
    browser.press("Enter");
    browser.sees("Type the token.");
    browser.write("wrong");
    browser.press("Enter");
    browser.sees("The Master does not know this token.");
    assert_eq!(browser.js("sessionStorage.length"), 0);
    // What was wrong is selected.
    browser.write(&token);
    browser.press("Enter");
    browser.until("document.querySelector('h1')?.innerText === 'Overview'");
    browser.until("document.querySelector('#live').dataset.state === 'live'");
    browser.click("#who");
    browser.sees("The operator: everything may be seen and done.");
    browser.click("#sign-out");
    browser.until("document.activeElement?.id === 'token'");
    assert_eq!(browser.js("sessionStorage.length + localStorage.length"), 0);
    browser.visit(&format!("{url}/ui/#token={token}&to=/computers"));
    browser.until("document.querySelector('h1')?.innerText === 'Computers'");
    assert_eq!(browser.js("location.href").as_str().unwrap(), format!("{url}/ui/#/computers"));
    scene.calm();
}
