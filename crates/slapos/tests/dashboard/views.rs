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
        ("search-nothing", "search?q=nobody"),
        ("computer-new", "computers/rack-1"),
        ("people", "people"),
        ("person", "people/ada"),
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
    let profile = filled(&scene);
    for (width, size) in WIDTHS {
        for (dark, theme) in [(false, "light"), (true, "dark")] {
            scene.browser.look(width, dark);
            for (name, place) in views(&profile) {
                show(&mut scene, &place);
                fits(&mut scene, name, width);
                told_apart(&mut scene, name);
                scene.browser.shoot(&format!("{name}-{size}-{theme}"));
            }
        }
    }
    scene.calm();
}

/// Nobody serves it.
const OTHER: &str = "http://127.0.0.1:9/old/software/service/software.cfg";

/// What a schema can ask for, of each kind.
const DESCRIPTION: &str = r#"{
  "name": "Service", "description": "Says a word.", "serialisation": "xml",
  "software-type": {"default": {"title": "One", "description": "One service.", "request": "input.json", "index": 0}}
}"#;
const INPUT: &str = r#"{
  "type": "object", "required": ["word"],
  "properties": {
    "word": {"title": "Word", "description": "What it says, in small letters.", "type": "string", "pattern": "^[a-z]+$"},
    "size": {"title": "Size", "type": "string", "enum": ["small", "large"], "default": "small"},
    "count": {"title": "How often", "description": "In a minute.", "type": "integer", "minimum": 1, "maximum": 60, "default": 5},
    "loud": {"title": "Loud", "type": "boolean", "default": false},
    "key": {"title": "Key", "description": "In several lines.", "type": "string", "textarea": true},
    "pass": {"title": "Pass", "type": "string", "format": "password"},
    "names": {"title": "Names", "description": "Whom it speaks to.", "type": "array", "items": {"type": "string"}, "minItems": 1},
    "voice": {"title": "Voice", "oneOf": [
      {"title": "Built in", "type": "object", "properties": {"pitch": {"type": "integer"}}},
      {"title": "From elsewhere", "type": "object", "properties": {"url": {"type": "string", "format": "uri"}}}
    ]},
    "more": {"title": "More", "type": "object", "properties": {"note": {"type": "string"}}}
  },
  "additionalProperties": false
}"#;

/// A node on which something runs and something fails, and a Master that knows somebody.
fn filled(scene: &Scene) -> String {
    let node = &scene.node;
    let profile = node.tree.add_service().display().to_string();
    node.tree.write("software/service/software.cfg.json", DESCRIPTION);
    node.tree.write("software/service/input.json", INPUT);
    let broken = "[buildout]\nparts = a\n[a]\nrecipe = plone.recipe.command\ncommand = false\nstop-on-error = true\n";
    let broken = node.tree.add_software("broken", broken).display().to_string();
    node.ok(&["supply", &profile, "local"]);
    node.ok(&["supply", &broken, "local"]);
    node.ok(&["request", "one", &profile, "--parameters", "word=hello"]);
    node.ok(&["request", "waiting", &profile, "--parameters", "word=later"]);
    node.run(&["node", "software"]);
    node.run(&["node", "instance"]);
    for (text, code) in [("echo there is room", 0), ("echo the disk is full; exit 1", 2)] {
        super::builds::promise(scene, text);
        node.fails(code, &["node", "instance", "--all"]);
    }
    // Its last folder is called like that of another.
    node.ok(&["request", "late", OTHER]);
    node.ok(&["supply", OTHER, "local"]);
    node.ok(&["proxy", "user", "add", "ada"]);
    node.ok(&["proxy", "project", "add", "engine"]);
    node.ok(&["proxy", "project", "join", "engine", "ada"]);
    node.ok(&["proxy", "token", "create", "--user", "ada", "--label", "laptop", "--days", "30"]);
    node.ok(&["proxy", "token", "create", "--computer", "local", "--label", "its node"]);
    node.ok(&["proxy", "computer", "add", "rack-1", "--project", "engine"]);
    profile
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
    let wrong = scene.browser.js(SOUND);
    assert_eq!(wrong, serde_json::json!([]), "{name}");
}

/// Software Releases of one name are told apart by what can be read.
fn told_apart(scene: &mut Scene, name: &str) {
    let text = match name {
        "software" | "computer" => OTHER,
        "instances" | "one-by-one" => "http://127.0.0.1:9/old/…",
        _ => return,
    };
    scene.browser.sees(text);
}

/// What who does not see the page relies on: one main heading, no level left out, ids that are unique, an
/// order of the key Tab that is the page's own, headings of tables, and a name for what is a region.
const SOUND: &str = "(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const levels = all('h1, h2, h3').map(({ localName }) => Number(localName[1]));
    const ids = all('[id]').map(({ id }) => id);
    return [
        all('h1').length !== 1 && 'there are several main headings, or none',
        levels.some((level, index) => level > (levels[index - 1] ?? 0) + 1) && `levels ${levels}`,
        ids.some((id, index) => ids.indexOf(id) !== index) && `ids ${ids}`,
        all('[tabindex]').some(({ tabIndex }) => tabIndex > 0) && 'an order of its own',
        all('th:not([scope])').length > 0 && 'a heading of nothing',
        all('img:not([alt])').length > 0 && 'a picture without words',
        all('nav, table, [role=region], dialog').some((one) => !one.ariaLabel && !one.getAttribute('aria-labelledby')) && 'a part without a name',
        all('header, main, nav').length < 3 && 'no landmarks',
    ].filter(Boolean);
})()";

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
    // A page that was opened while the Master was away comes by itself.
    scene.node.ok(&["down"]);
    scene.go("computers");
    scene.browser.sees("The Master does not answer.");
    scene.node.ok(&["up"]);
    scene.browser.until("document.querySelector('main table')?.innerText.includes('local')");
    scene.at("", "Overview");
    scene.browser.until(live);
    scene.node.ok(&["supply", "http://127.0.0.1:9/such/software.cfg", "local"]);
    scene.browser.until("document.querySelector('#changes')?.innerText.includes('such')");
    scene.calm();
}
