//! What is kept of promises between runs, in the files and forms that the original and its
//! monitoring have: `.slapgrid/promise/{cache,result}`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slapos_sys::clock::Timestamp;
use slapos_sys::fs;

use super::{Kind, PromiseResult, json};

const BASE: &str = ".slapgrid/promise";
/// More than any of these files has, bytes.
const LONGEST: u64 = 256 << 10;
const DATE: &str = "%Y-%m-%dT%H:%M:%S+0000";
/// What versions of the original before 1.22 left.
const OUTDATED: [&str; 5] =
    ["history", "promise_status.json", "promise_stats.json", "global.json", "public.json"];

/// What a promise said of itself when it was last run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cache {
    /// Whether it has a test.
    pub(super) is_tested: bool,
    /// Whether it watches for anomalies.
    pub(super) is_anomaly_detected: bool,
    /// Minutes, as the promise gave them.
    pub(super) periodicity: serde_json::Number,
    /// Seconds since the epoch.
    pub(super) next_run_after: f64,
    /// When it was run, seconds since the epoch.
    pub(super) timestamp: f64,
    /// The code of the promise.
    pub(super) module_file: PathBuf,
    /// Of that file, seconds since the epoch.
    pub(super) module_file_mtime: f64,
}

/// A promise's result, as filed.
#[derive(Serialize, Deserialize)]
struct Filed {
    title: String,
    name: String,
    path: PathBuf,
    #[serde(rename = "execution-time")]
    execution_time: f64,
    result: Said,
}

#[derive(Serialize, Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: Kind,
    failed: bool,
    date: String,
    message: Option<String>,
}

/// The files of one partition's promises.
pub(super) struct State {
    base: PathBuf,
}

/// Where the Python of the partition at `directory` keeps its code compiled.
pub(super) fn code_file(directory: &Path) -> PathBuf {
    directory.join(BASE).join("host")
}

impl State {
    /// Those of the partition at `directory`; folders are made where they are missing.
    pub(super) fn open(directory: &Path) -> std::io::Result<Self> {
        let base = directory.join(BASE);
        fs::create_dir_all(&base, 0o755)?;
        for folder in ["cache", "result", "log"] {
            fs::create_dir_all(&base.join(folder), 0o700)?;
        }
        Ok(Self { base })
    }

    /// What is known of the promise called `title` whose file is at `path`; nothing, if its code
    /// changed since.
    pub(super) fn cache(&self, title: &str, path: &Path) -> Option<Cache> {
        let text = fs::read_to_string_limited(&self.cache_path(title), LONGEST).ok()?;
        let cache: Cache = serde_json::from_str(&text).ok()?;
        let code = modified(&cache.module_file)?;
        // Its configuration is in its own file, which may be another than that of its code.
        let own = modified(path)?;
        (code.to_bits() == cache.module_file_mtime.to_bits() && own <= cache.timestamp)
            .then_some(cache)
    }

    /// Keeps what a promise said of itself.
    pub(super) fn set_cache(&self, title: &str, cache: &Cache) -> std::io::Result<()> {
        write(&self.cache_path(title), cache)
    }

    /// The last result of the promise called `title`.
    pub(super) fn result(&self, title: &str) -> Option<PromiseResult> {
        let text = fs::read_to_string_limited(&self.result_path(title), LONGEST).ok()?;
        let filed: Filed = serde_json::from_str(&text).ok()?;
        let date = filed.result.date.strip_suffix("+0000")?;
        Some(PromiseResult {
            name: filed.name,
            title: filed.title,
            path: filed.path,
            failed: filed.result.failed,
            message: filed.result.message.unwrap_or_default(),
            date: format!("{date}Z").parse().ok()?,
            seconds: filed.execution_time,
            periodicity: 0.0,
            kind: filed.result.kind,
            bang: false,
            checked: false,
        })
    }

    /// Files a result.
    pub(super) fn set_result(&self, result: &PromiseResult) -> std::io::Result<()> {
        let filed = Filed {
            title: result.title.clone(),
            name: result.name.clone(),
            path: result.path.clone(),
            // As many digits as anybody wants to read.
            execution_time: (result.seconds * 1000.0).round() / 1000.0,
            result: Said {
                kind: result.kind,
                failed: result.failed,
                date: result.date.strftime(DATE).to_string(),
                message: Some(result.message.clone()),
            },
        };
        write(&self.result_path(&result.title), &filed)
    }

    /// Forgets promises that are not called one of `titles`, and what old versions left. Logs stay:
    /// they tell what was.
    pub(super) fn tidy(&self, titles: &[&str]) -> std::io::Result<()> {
        for (folder, suffix) in [("cache", ""), ("result", ".status.json")] {
            for entry in std::fs::read_dir(self.base.join(folder))? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                // Another check may be about to give a file its name.
                if name.is_some_and(|name| name.starts_with('.')) {
                    continue;
                }
                let title = name.and_then(|name| name.strip_suffix(suffix));
                if !title.is_some_and(|title| titles.contains(&title)) {
                    fs::remove_tree(&path)?;
                }
            }
        }
        OUTDATED.iter().try_for_each(|name| fs::remove_tree(&self.base.join(name)))
    }

    fn cache_path(&self, title: &str) -> PathBuf {
        self.base.join("cache").join(title)
    }

    fn result_path(&self, title: &str) -> PathBuf {
        self.base.join("result").join(format!("{title}.status.json"))
    }
}

fn write(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    fs::write_replace(path, json::text(value)?.as_bytes(), 0o644)
}

/// When `path` was changed, seconds since the epoch.
pub(super) fn modified(path: &Path) -> Option<f64> {
    let modified = std::fs::metadata(path).ok()?.modified().ok()?;
    Some(modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64())
}

/// Seconds since the epoch.
pub(super) fn epoch(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

/// The instant `seconds` after the epoch; the first or last there is, beyond those.
pub(super) fn instant(seconds: f64) -> Timestamp {
    let since = slapos_sys::clock::SignedDuration::try_from_secs_f64(seconds);
    since.ok().and_then(|since| Timestamp::from_duration(since).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests arrange files directly")]

    use super::*;

    fn result() -> PromiseResult {
        PromiseResult {
            name: "check.py".into(),
            title: "check".into(),
            path: "/p/etc/plugin/check.py".into(),
            failed: true,
            message: "déjà \"vu\"".into(),
            date: "2026-11-22T19:04:05Z".parse().unwrap(),
            seconds: 0.050_04,
            periodicity: 0.0,
            kind: Kind::Anomaly,
            bang: false,
            checked: false,
        }
    }

    #[test]
    fn results_have_the_originals_form_and_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        state.set_result(&result()).unwrap();
        let text = std::fs::read_to_string(state.result_path("check")).unwrap();
        insta::assert_snapshot!(text, @r#"{"title": "check", "name": "check.py", "path": "/p/etc/plugin/check.py", "execution-time": 0.05, "result": {"type": "Anomaly Result", "failed": true, "date": "2026-11-22T19:04:05+0000", "message": "d\u00e9j\u00e0 \"vu\""}}"#);
        assert_eq!(state.result("check").unwrap(), PromiseResult { seconds: 0.05, ..result() });
        assert!(state.result("other").is_none());
    }

    #[test]
    fn a_cache_counts_only_while_the_code_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let plugin = dir.path().join("a.py");
        std::fs::write(&plugin, "x").unwrap();
        let cache = Cache {
            is_tested: true,
            is_anomaly_detected: true,
            periodicity: 2.into(),
            next_run_after: 3e9 + 120.0,
            timestamp: 3e9,
            module_file: plugin.clone(),
            module_file_mtime: modified(&plugin).unwrap(),
        };
        state.set_cache("a", &cache).unwrap();
        assert_eq!(state.cache("a", &plugin), Some(cache.clone()));
        let older = Cache { timestamp: 1.0, ..cache.clone() };
        state.set_cache("a", &older).unwrap();
        assert_eq!(state.cache("a", &plugin), None, "its own file is newer");
        state.set_cache("a", &Cache { module_file_mtime: 1.0, ..cache }).unwrap();
        assert_eq!(state.cache("a", &plugin), None);
        std::fs::write(state.cache_path("a"), "{nonsense").unwrap();
        assert_eq!(state.cache("a", &plugin), None);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        state.set_result(&result()).unwrap();
        state.set_result(&PromiseResult { title: "kept".into(), ..result() }).unwrap();
        std::fs::write(state.base.join("promise_stats.json"), "").unwrap();
        state.tidy(&["kept"]).unwrap();
        assert!(state.result("check").is_none() && state.result("kept").is_some());
        assert!(!state.base.join("promise_stats.json").exists());
    }
}
