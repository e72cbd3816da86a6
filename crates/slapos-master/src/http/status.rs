//! What is told of computers and of Software Releases on them by what their nodes told last, in the
//! words of the original's large Master; its embedded one has none.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};
use slapos_slap::marshal::dumps;
use slapos_slap::{ComputerId, Report, SoftwareUrl, Value};
use slapos_sys::clock::Timestamp;

use super::access::{Caller, Route, Rule};
use super::params::Params;
use super::{ApiError, App, xml};

type Shared = State<Arc<App>>;
type Answer = Result<Response, ApiError>;

/// In microseconds.
const MINUTE: i64 = 60_000_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/getComputerStatus", Rule::USER_OR_NODE, computer),
        Route::get("/getSoftwareInstallationStatus", Rule::USER_OR_NODE, software),
    ]
}

async fn computer(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let computer = params.computer()?;
    app.allow_computer(&caller, &computer).await?;
    marshalled(&app.computer_status(&computer).await?)
}

async fn software(State(app): Shared, caller: Caller, params: Params) -> Answer {
    let (url, computer) = (params.software()?, params.computer()?);
    app.allow_computer(&caller, &computer).await?;
    let report = app.store.software_report(&url, &computer).await?;
    let heard = report.as_ref().map(|(report, at)| Heard {
        by: computer.as_str(),
        at: *at,
        text: software_text(&url, report),
        state: if report.state == "error" { "" } else { &report.state },
    });
    let about = ("Software Installation", url.as_str());
    marshalled(&status(about, heard, app.store.time()))
}

fn marshalled(status: &Json) -> Answer {
    Ok(xml(dumps(&Value::from(status))?))
}

impl App {
    /// When a computer's node was heard of last.
    ///
    /// # Errors
    /// 404 when the computer is not known.
    pub(super) async fn computer_status(&self, computer: &ComputerId) -> Result<Json, ApiError> {
        let name = computer.as_str();
        let heard = self.store.last_contact(computer).await?.map(|at| Heard {
            by: name,
            at,
            text: format!("#access {name}"),
            state: "",
        });
        Ok(status(("Compute Node", name), heard, self.store.time()))
    }
}

/// What was told last of something.
struct Heard<'a> {
    by: &'a str,
    /// When, in microseconds since 1970.
    at: i64,
    text: String,
    state: &'a str,
}

fn software_text(url: &SoftwareUrl, report: &Report) -> String {
    match report.state.as_str() {
        "error" => format!("#error while installing {url}"),
        "building" => format!("#building software release {url}"),
        state => format!("#access software release {url} {state}"),
    }
}

/// `about` is the kind of thing and its name.
fn status((kind, name): (&str, &str), heard: Option<Heard<'_>>, now: i64) -> Json {
    let Some(Heard { by, at, text, state }) = heard else {
        let text = format!("#error no data found for {name}");
        return json!({
            "created_at": date(now), "no_data": 1, "portal_type": kind, "reference": name,
            "since": date(now), "state": "", "text": text, "user": "SlapOS Master",
        });
    };
    // Of a node that is there, signs of life are noted every five minutes only.
    let silent = |minutes: i64| i64::from(now - at > (minutes + 5) * MINUTE);
    json!({
        "created_at": date(at), "no_data_since_15_minutes": silent(15),
        "no_data_since_5_minutes": silent(5), "portal_type": kind, "reference": name,
        "since": date(at), "state": state, "text": text, "user": by,
    })
}

/// A time as HTTP writes it.
fn date(microseconds: i64) -> String {
    let time = Timestamp::from_microsecond(microseconds);
    time.map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_374_015_778_843;

    #[test]
    fn silence_is_told_once_it_is_certain() {
        let silent = |minutes: i64| {
            let at = NOW - minutes * MINUTE;
            let heard = Heard { by: "c", at, text: String::new(), state: "" };
            let status = status(("Compute Node", "c"), Some(heard), NOW);
            [&status["no_data_since_5_minutes"], &status["no_data_since_15_minutes"]]
                .map(|flag| flag.as_i64().unwrap())
        };
        assert_eq!([silent(0), silent(10), silent(11)], [[0, 0], [0, 0], [1, 0]]);
        assert_eq!([silent(20), silent(21)], [[1, 0], [1, 1]]);
    }

    #[test]
    fn who_was_never_heard_of_is_told_as_such() {
        let status = status(("Compute Node", "c"), None, NOW);
        insta::assert_snapshot!(status, @r##"{"created_at":"Sun, 22 Nov 2026 19:00:15 GMT","no_data":1,"portal_type":"Compute Node","reference":"c","since":"Sun, 22 Nov 2026 19:00:15 GMT","state":"","text":"#error no data found for c","user":"SlapOS Master"}"##);
    }

    #[test]
    fn a_software_release_is_told_in_the_words_of_the_original() {
        let text = |state: &str| {
            let (state, message, at) = (state.to_owned(), "m".to_owned(), String::new());
            software_text(&"u".into(), &Report { state, message, at })
        };
        assert_eq!(text("available"), "#access software release u available");
        assert_eq!(text("building"), "#building software release u");
        assert_eq!(text("error"), "#error while installing u");
    }
}
