//! Every view, dark and light, on a screen and on a phone: nothing is cut off, nothing complains, nothing is asked of
//! others; pictures are kept below the target directory.

use super::Scene;

/// Widths of windows, pixels.
const WIDTHS: [(u32, &str); 2] = [(1280, "wide"), (360, "narrow")];

fn views(software: &str) -> Vec<(&'static str, String)> {
    let software: String = software.replace('/', "%2F");
    let fixed = [
        ("overview", ""),
        ("computers", "computers"),
        ("computer", "computers/local"),
        ("software", "software"),
        ("instances", "instances"),
        ("one-by-one", "instances?kind=all"),
        ("instance", "instances/local-slappart0"),
        ("change", "instances/local-slappart0/change"),
        ("search", "search?q=one"),
        ("people", "people"),
        ("audit", "audit"),
        ("me", "me"),
        ("missing", "no/such"),
        ("unknown", "computers/nobody"),
    ];
    let mut views: Vec<_> = fixed.map(|(name, place)| (name, place.to_owned())).into();
    views.push(("software-one", format!("software/{software}")));
    views.push(("request", format!("request?software={software}")));
    views
}

#[test]
fn every_view_fits_in_both_themes_and_widths() {
    let test = "every_view_fits_in_both_themes_and_widths";
    let Some(mut scene) = Scene::signed_in(test) else { return };
    let profile = scene.node.tree.add_service().display().to_string();
    scene.node.ok(&["request", "one", &profile, "--parameters", "word=hello"]);
    scene.node.ok(&["supply", &profile, "local"]);
    scene.node.run(&["node", "software"]);
    scene.node.run(&["node", "instance"]);
    for (width, size) in WIDTHS {
        for (dark, theme) in [(false, "light"), (true, "dark")] {
            scene.browser.look(width, dark);
            for (name, place) in views(&profile) {
                show(&mut scene, &place);
                fits(&mut scene, name, width);
                scene.browser.shoot(&format!("{name}-{size}-{theme}"));
            }
        }
    }
    scene.calm();
}

/// Goes there from another view, and waits until it is drawn.
fn show(scene: &mut Scene, place: &str) {
    scene.browser.js("document.querySelector('h1')?.setAttribute('data-old', '')");
    if scene.browser.js("location.hash") == format!("#/{place}") {
        return;
    }
    scene.go(place);
    scene.browser.until("document.querySelector('h1') && !document.querySelector('h1[data-old]')");
}

fn fits(scene: &mut Scene, name: &str, width: u32) {
    let over = scene.browser.js("document.documentElement.scrollWidth - innerWidth");
    assert!(over.as_i64().unwrap() <= 0, "{name} is wider than {width} by {over}");
    let unnamed = scene.browser.js(
        "[...document.querySelectorAll('input, select, textarea, button, a')].filter((one) =>
           !one.hidden && !(one.innerText.trim() || one.getAttribute('aria-label') || one.labels?.length)
         ).map((one) => one.outerHTML)",
    );
    assert_eq!(unnamed, serde_json::json!([]), "controls without a name in {name}");
}

#[test]
fn the_theme_is_switched_the_menu_opens_and_the_slash_searches() {
    let test = "the_theme_is_switched_the_menu_opens_and_the_slash_searches";
    let Some(mut scene) = Scene::signed_in(test) else { return };
    let browser = &mut scene.browser;
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = browser.js(paper);
    browser.click("#theme");
    let dark = browser.js(paper);
    assert_ne!(light, dark);
    browser.look(1280, true);
    assert_eq!(browser.js(paper), dark);
    browser.click("#theme");
    assert_eq!(browser.js(paper), light);
    browser.press("/");
    browser.until("document.activeElement?.id === 'find'");
    browser.write("local");
    browser.press("Enter");
    browser.until("document.querySelector('main')?.innerText.includes('local')");
    browser.look(360, false);
    assert_eq!(browser.js("getComputedStyle(document.querySelector('#ways')).display"), "none");
    browser.click(".menu-button");
    assert_eq!(browser.js("document.querySelector('.menu-button').ariaExpanded"), "true");
    browser.click("#ways a[href='#/computers']");
    browser.until("document.querySelector('h1')?.innerText === 'Computers'");
    browser.until("getComputedStyle(document.querySelector('#ways')).display === 'none'");
    // The first thing that the key Tab leads to is the way past the bar.
    browser.js("document.activeElement.blur(); window.getSelection().removeAllRanges()");
    browser.until("document.querySelector('.skip')");
    scene.calm();
}

#[test]
fn what_is_interrupted_comes_again() {
    let Some(mut scene) = Scene::signed_in("what_is_interrupted_comes_again") else { return };
    let live = "document.querySelector('#live').dataset.state === 'live'";
    scene.browser.until(live);
    let pid = scene.node.pids()["slapproxy"];
    slapos_testkit::kill(pid);
    scene.browser.until("document.querySelector('#live').dataset.state === 'waiting'");
    scene.browser.until(live);
    scene.node.ok(&["supply", "http://127.0.0.1:9/such/software.cfg", "local"]);
    scene.browser.until("document.querySelector('#changes')?.innerText.includes('such')");
    scene.calm();
}
