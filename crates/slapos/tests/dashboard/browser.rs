//! Chromium without a window, driven through the pipe of its DevTools protocol: one page, its keys,
//! and what went wrong in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use slapos_sys::process::{Signal, alive, descendants, kill_group};
use slapos_testkit::skipped;

/// The browser reads what it is told from 3 and answers on 4.
const START: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;

/// How long an answer, or what a test waits for, may take, seconds.
const PATIENCE: u64 = 60;

/// The dialog that is open, or else the page.
const TOP: &str = "[...document.querySelectorAll('dialog[open]')].at(-1) ?? document";

/// See the module.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    number: u64,
    session: Option<String>,
    heard: Vec<Value>,
    shots: PathBuf,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A browser with an empty page; nothing, with a line that says so, where there is no Chromium.
    pub(crate) fn start(test: &str) -> Option<Browser> {
        let found = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];
        let Some(program) = found.iter().find(|path| std::path::Path::new(path).exists()) else {
            skipped(test, "there is no Chromium (Debian: chromium)");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("/bin/sh")
            .args(["-c", START, "sh", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let end = message.strip_suffix(&[0]).unwrap_or(&message);
                let Ok(value) = serde_json::from_slice(end) else { return };
                if send.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
        std::fs::create_dir_all(&shots).unwrap();
        let (number, session, heard) = (0, None, Vec::new());
        let _profile = profile;
        let mut browser =
            Browser { child, commands, messages, number, session, heard, shots, _profile };
        browser.open_page();
        Some(browser)
    }

    fn open_page(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let wish = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", wish);
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.look(1280, false);
    }

    /// Tells the browser something and gives its answer.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut message = json!({"id": number, "method": method});
        message["params"] = params;
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.messages.recv_timeout(Duration::from_secs(PATIENCE));
            let answer = answer.unwrap_or_else(|_| panic!("the browser is silent at {message}"));
            if answer["id"] == number {
                assert_eq!(answer["error"], Value::Null, "{message}");
                return answer["result"].clone();
            }
            self.heard.push(answer);
        }
    }

    /// Goes to an address, as a page of its own.
    pub(crate) fn visit(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.call("Page.navigate", json!({"url": url}));
    }

    /// Has what is saved put into a directory.
    pub(crate) fn saves_to(&mut self, directory: &std::path::Path) {
        let wish = json!({"behavior": "allow", "downloadPath": directory.display().to_string()});
        self.call("Browser.setDownloadBehavior", wish);
    }

    /// What a script comes to.
    pub(crate) fn js(&mut self, script: &str) -> Value {
        let wish = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", wish);
        assert_eq!(answer["exceptionDetails"], Value::Null, "{script}");
        answer["result"]["value"].clone()
    }

    /// Waits until a condition holds in the page.
    pub(crate) fn until(&mut self, condition: &str) {
        let script = format!("Boolean({condition})");
        let start = std::time::Instant::now();
        while self.js(&script) != true {
            if start.elapsed().as_secs() > PATIENCE {
                let text = self.js("document.body.innerText");
                self.shoot("failed");
                let text = text.as_str().unwrap_or_default();
                panic!("waited in vain for {condition} in\n{text}\n{:?}", self.complaints());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until the page shows a text.
    pub(crate) fn sees(&mut self, text: &str) {
        self.until(&format!("document.body?.innerText.includes({})", json!(text)));
    }

    /// Sets width and theme.
    pub(crate) fn look(&mut self, width: u32, dark: bool) {
        let mobile = width < 500;
        let wish = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", wish);
        let theme = if dark { "dark" } else { "light" };
        let theme = json!({"name": "prefers-color-scheme", "value": theme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [theme]}));
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, `ArrowDown`, or a character.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowDown" => (40, ""),
            character => (0, character),
        };
        let down = json!({"type": "keyDown", "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Goes on with the key Tab until the focus is on what the selector means.
    pub(crate) fn tab_to(&mut self, selector: &str) {
        let there = format!("document.activeElement?.matches({})", json!(selector));
        for _ in 0..120 {
            if self.js(&there) == true {
                let seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
                assert_eq!(self.js(seen), true, "the focus on {selector} cannot be seen");
                return;
            }
            self.press("Tab");
        }
        panic!("the key Tab does not lead to {selector}");
    }

    /// Clicks.
    pub(crate) fn click(&mut self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(&found);
        self.js(&format!("{found}.click()"));
    }

    /// Writes into the field of that label, in place of what is there; in a dialog, if one is open.
    pub(crate) fn fill(&mut self, label: &str, text: &str) {
        let found = format!(
            "[...({TOP}).querySelectorAll('label')].find((one) => one.textContent.startsWith({}))?.control",
            json!(label)
        );
        self.until(&found);
        self.js(&format!("{{ const field = {found}; field.focus(); field.select(); }}"));
        self.write(text);
    }

    /// Presses the button, or follows the link, of that name; in a dialog, if one is open.
    pub(crate) fn push(&mut self, name: &str) {
        let found = format!(
            "[...({TOP}).querySelectorAll('button, a')].find((one) => one.innerText.trim() === {} && !one.disabled)",
            json!(name)
        );
        self.until(&found);
        self.js(&format!("({found}).click()"));
    }

    /// Chooses of a list.
    pub(crate) fn choose(&mut self, selector: &str, value: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(&found);
        let script = "field.dispatchEvent(new Event('change', { bubbles: true }));";
        self.js(&format!("{{ const field = {found}; field.value = {}; {script} }}", json!(value)));
    }

    /// Waits for the heading of a view.
    pub(crate) fn heads(&mut self, title: &str) {
        self.until(&format!("document.querySelector('h1')?.innerText === {}", json!(title)));
    }

    /// Takes what a dialog shows once, and closes it.
    pub(crate) fn secret(&mut self) -> String {
        let shown = format!("({TOP}).querySelector('pre')");
        self.until(&shown);
        let text = self.js(&format!("{shown}.innerText"));
        self.push("I have kept it");
        self.until("!document.querySelector('dialog')");
        text.as_str().unwrap().trim().to_owned()
    }

    /// Keeps a picture of the whole page below the target directory.
    pub(crate) fn shoot(&mut self, name: &str) {
        use base64::Engine as _;
        let size = self.js("[innerWidth, Math.min(4000, document.documentElement.scrollHeight)]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let wish = json!({"captureBeyondViewport": true, "clip": clip});
        let picture = self.call("Page.captureScreenshot", wish);
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(self.shots.join(format!("{name}.png")), bytes).unwrap();
    }

    /// What went wrong since the last time: errors of scripts and policies, requests elsewhere, and files
    /// of the dashboard that were not there.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.js("1");
        let heard = std::mem::take(&mut self.heard);
        heard.iter().filter_map(complaint).collect()
    }
}

/// What is wrong about something that happened in the page.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        // What the Master refuses is a matter of the page; all other errors are not.
        "Log.entryAdded" => {
            let entry = &params["entry"];
            let bad = entry["level"] == "error" && entry["source"] != "network";
            bad.then(|| entry.to_string())
        }
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str()?;
            let own = ["http://127.0.0.1:", "blob:http://127.0.0.1:", "about:blank"];
            let own = own.iter().any(|own| url.starts_with(own));
            (!own).then(|| format!("a request to {url}"))
        }
        "Network.responseReceived" => {
            let (url, status) = (&params["response"]["url"], &params["response"]["status"]);
            let missing = url.as_str()?.contains("/ui/") && *status != 200 && *status != 304;
            missing.then(|| format!("{url} is answered with {status}"))
        }
        _ => None,
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let family = descendants(self.child.id());
        let _ = kill_group(self.child.id(), Signal::SIGKILL);
        let _ = self.child.wait();
        // They write into the profile, which is to be removed, until they are gone.
        for _ in 0..500 {
            if !family.iter().any(|(pid, start)| alive(*pid, *start)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
