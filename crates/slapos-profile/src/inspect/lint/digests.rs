//! Sources that are downloaded and checked by MD5 only.

use super::{Found, Level, Report, Rule};
use crate::model::OptionValue;

const HELP: &str = "add `sha256sum = ` and the digest of the bytes that have this MD5";

pub(super) fn check(report: &mut Report<'_, '_>) {
    let values = report.values;
    for (name, section) in values.sections() {
        let is_set = |option: &str| !values.text(name, option).trim().is_empty();
        if let Some(md5) = section.options.get("md5sum")
            && is_set("md5sum")
            && !is_set("sha256sum")
        {
            let url = values.text(name, "url");
            if is_remote(url.trim()) {
                let message = format!("{} is checked by MD5 only", url.trim());
                let help = Some(HELP.to_owned());
                let found = Found { section: name, option: "md5sum", message, help };
                report.add(Rule::Md5Only, Level::Warning, Some(md5.span), found);
            }
        }
        for (option, value) in &section.options {
            if value.value.contains('#') {
                words(report, name, option, value);
            }
        }
    }
}

/// `URL#md5`, as in `patches`.
fn words(report: &mut Report<'_, '_>, section: &str, option: &str, value: &OptionValue) {
    for word in value.value.split_whitespace() {
        let Some((url, digest)) = word.split_once('#') else { continue };
        let digest = digest.strip_prefix("md5=").unwrap_or(digest);
        let is_md5 = digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        if is_md5 && is_remote(url) {
            let offset = word.as_ptr() as usize - value.value.as_ptr() as usize;
            let message = format!("{url} is checked by MD5 only");
            let found = Found { section, option, message, help: None };
            report.add(Rule::Md5Only, Level::Warning, Some(value.origin(offset).0), found);
        }
    }
}

fn is_remote(url: &str) -> bool {
    ["http://", "https://", "ftp://"].iter().any(|scheme| url.starts_with(scheme))
}
