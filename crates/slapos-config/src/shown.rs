//! Names of sections as they may be shown: some are addresses, which may have a token.

/// In its place.
const HIDDEN: &str = "***";

/// The name of a section without what proves to the address in it who asks: a password
/// (`multimaster/http://me:TOKEN@host`), or a token in front of the path (`http://host/token/TOKEN/`).
pub fn shown_section(name: &str) -> String {
    let Some((scheme, rest)) = name.split_once("://") else { return name.to_owned() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((who, host)) => match who.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{who}@{host}"),
        },
        None => host.to_owned(),
    };
    let path = match path.strip_prefix("/token/") {
        Some(rest) if !rest.is_empty() => {
            let end = rest.find('/').unwrap_or(rest.len());
            format!("/token/{HIDDEN}{}", rest.get(end..).unwrap_or_default())
        }
        _ => path.to_owned(),
    };
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_who_asks_is_not_shown() {
        for (name, shown) in [
            ("multimaster/http://me:se:cr@et@m:1", "multimaster/http://me:***@m:1"),
            ("multimaster/https://:secret@[::1]/a", "multimaster/https://:***@[::1]/a"),
            ("multimaster/http://m/token/secret/a", "multimaster/http://m/token/***/a"),
            ("multimaster/http://m/token/secret", "multimaster/http://m/token/***"),
        ] {
            assert_eq!(shown_section(name), shown);
        }
        for plain in
            ["slapos", "manager:devperm", "multimaster/http://me@m:1/a:b@c", "http://m/token/"]
        {
            assert_eq!(shown_section(plain), plain);
        }
    }
}
