//! `slapos.cookbook:check_url_available`: an executable promise that a URL answers.
//!
//! Options:
//! - `path`: the file to write, usually in `etc/promise`, mode 0700;
//! - `url`: what must answer;
//! - `http_code`: the status wanted, default 200; 0 for any;
//! - `check-secure`: `1` for "answers 401 without a password"; default 0;
//! - `timeout`: seconds, default 20; `ca-cert-file`, `cert-file`, `key-file`: for TLS;
//! - `dash_path`, `curl_path`: shell and curl to use, default `/bin/sh` and the one in `PATH`.
//!
//! The second line of the script is the header that the node runs natively.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, Literal, shell_quote};
use crate::promise::{Script, header};

/// The recipe.
pub(crate) struct CheckUrlAvailable;

impl Recipe for CheckUrlAvailable {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("path")?);
        let check = Check {
            shell: nonempty(init, "dash_path").unwrap_or("/bin/sh").to_owned(),
            curl: nonempty(init, "curl_path").unwrap_or("curl").to_owned(),
            url: init.require("url")?.trim().to_owned(),
            code: match nonempty(init, "check-secure") {
                Some("1") => "401".to_owned(),
                _ => nonempty(init, "http_code").unwrap_or("200").to_owned(),
            },
            timeout: nonempty(init, "timeout").unwrap_or("20").to_owned(),
            files: ["ca-cert-file", "cert-file", "key-file"]
                .into_iter()
                .filter_map(|option| Some((option, nonempty(init, option)?.to_owned())))
                .collect(),
        };
        for (option, text) in [("http_code", &check.code), ("timeout", &check.timeout)] {
            if text.parse::<u32>().is_err() {
                let message = format!("`{option}` must be a number, not `{text}`");
                return Err(init.error(option, &message, None));
            }
        }
        Ok(Box::new(Script { path, content: check.script(), mode: 0o700 }))
    }
}

fn nonempty<'i>(init: &'i PartInit<'_>, option: &str) -> Option<&'i str> {
    init.get(option).map(str::trim).filter(|text| !text.is_empty())
}

struct Check {
    shell: String,
    curl: String,
    url: String,
    code: String,
    timeout: String,
    files: Vec<(&'static str, String)>,
}

impl Check {
    fn script(&self) -> String {
        let text = |value: &str| Literal::from(value);
        let mut config = vec![
            ("http-code".to_owned(), text(&self.code)),
            ("timeout".to_owned(), text(&self.timeout)),
            ("url".to_owned(), text(&self.url)),
        ];
        config.extend(self.files.iter().map(|(name, file)| ((*name).to_owned(), text(file))));
        let header = header("slapos.promise.plugin.check_url_available", &config);
        let options: String = self.files.iter().map(|(name, file)| self.flag(name, file)).collect();
        let trust = if options.contains("--cacert") { "" } else { " --insecure" };
        let wanted = if self.code == "0" { "[1-5]??" } else { &self.code };
        format!(
            "#!{}\n{header}\ncode=$({} --silent --output /dev/null --max-time {} \
             --write-out '%{{http_code}}'{trust}{options} {})\n\
             case \"$code\" in\n{wanted}) exit 0;;\nesac\n\
             echo {}\" answered $code\" >&2\nexit 1\n",
            self.shell,
            shell_quote(&self.curl),
            self.timeout,
            shell_quote(&self.url),
            shell_quote(&self.url),
        )
    }

    fn flag(&self, name: &str, file: &str) -> String {
        let flag = match name {
            "ca-cert-file" => "--cacert",
            "cert-file" => "--cert",
            _ => "--key",
        };
        format!(" {flag} {}", shell_quote(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_asks_curl_and_carries_the_header() {
        let check = Check {
            shell: "/bin/sh".into(),
            curl: "curl".into(),
            url: "https://[::1]/".into(),
            code: "200".into(),
            timeout: "20".into(),
            files: vec![("ca-cert-file", "/c a".into())],
        };
        insta::assert_snapshot!(check.script(), @r#"
        #!/bin/sh
        # slapos-promise: {"module":"slapos.promise.plugin.check_url_available","config":{"http-code":"200","timeout":"20","url":"https://[::1]/","ca-cert-file":"/c a"}}
        code=$(curl --silent --output /dev/null --max-time 20 --write-out '%{http_code}' --cacert '/c a' 'https://[::1]/')
        case "$code" in
        200) exit 0;;
        esac
        echo 'https://[::1]/'" answered $code" >&2
        exit 1
        "#);
    }
}
