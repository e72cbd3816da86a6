//! Frontends that nobody has, where the configuration wants it so: who asks for one by the two names
//! that the original's embedded Master knows is told the address that he wanted to be shown, as there.
//! So instances of one machine work alone.
//!
//! Invariant: nothing is remembered, nothing is asked of that address, and a real frontend comes first.

use slapos_slap::{DEFAULT_SOFTWARE_TYPE, InstanceAnswer, InstanceRequest, InstanceState};

use super::Desk;

/// Shows an address of the web.
const WEB: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";
/// Shows a screen.
const SCREEN: &str = "http://git.erp5.org/gitweb/slapos.git/blob_plain/refs/tags/slapos-0.92:/software/kvm/software.cfg";

/// What the default type was called once.
const FORMER_DEFAULT: &str = "RootSoftwareInstance";

impl Desk {
    /// What a frontend would answer that shows nothing but the way.
    pub(super) fn without_frontend(&self, request: &InstanceRequest) -> Option<InstanceAnswer> {
        let wanted = request.shared && request.state != Some(InstanceState::Destroyed);
        let connection = direct(request).filter(|_| wanted && self.config.direct_frontends)?;
        tracing::warn!("{}: there is no frontend; its own address is told", request.title);
        let connection = connection.map(|(key, text)| (key.to_owned(), text)).collect();
        Some(InstanceAnswer { connection, ..InstanceAnswer::to(request, "", "") })
    }
}

fn direct(
    request: &InstanceRequest,
) -> Option<impl Iterator<Item = (&'static str, String)> + use<>> {
    let given = |name: &str| request.parameters.get(name).filter(|text| !text.is_empty());
    let pairs = match (request.software.as_str(), request.software_type.as_str()) {
        (WEB, DEFAULT_SOFTWARE_TYPE | FORMER_DEFAULT) => {
            let url = given("url")?;
            let host = url.split_once("://").map_or("", |(_, rest)| rest);
            let host = host.split(['/', '?', '#']).next().unwrap_or_default();
            vec![("secure_access", url.clone()), ("domain", host.to_owned())]
        }
        (SCREEN, "frontend") => {
            let (host, port) = (given("host")?, given("port")?);
            let bare = host.contains(':') && !host.starts_with('[');
            let host = if bare { format!("[{host}]") } else { host.clone() };
            let url = format!("https://{host}:{port}/");
            let port = port.clone();
            vec![("url", url), ("domainname", host), ("port", port), ("path", "/".to_owned())]
        }
        _ => return None,
    };
    Some(pairs.into_iter())
}

#[cfg(test)]
mod tests {
    use super::super::RequestsConfig;
    use super::*;

    fn told(direct_frontends: bool, request: &InstanceRequest) -> Option<String> {
        let config = RequestsConfig { direct_frontends, ..RequestsConfig::default() };
        let answer = Desk::new(config, "id".to_owned()).without_frontend(request)?;
        let pairs = answer.connection.iter().map(|(key, text)| format!("{key}={text}"));
        Some(pairs.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn who_wants_to_be_shown_is_told_his_own_address() {
        let mut web = InstanceRequest::new("web", WEB);
        web.shared = true;
        web.software_type = DEFAULT_SOFTWARE_TYPE.to_owned();
        assert_eq!(told(true, &web), None, "it does not say what");
        web.parameters.insert("url".to_owned(), "https://[::1]:8080/a?b".to_owned());
        insta::assert_snapshot!(told(true, &web).unwrap(), @"secure_access=https://[::1]:8080/a?b domain=[::1]:8080");
        assert_eq!(told(false, &web), None);
        let other = InstanceRequest { software: "/software.cfg".into(), ..web.clone() };
        assert_eq!(told(true, &other), None);
        let own = InstanceRequest { shared: false, ..web.clone() };
        assert_eq!(told(true, &own), None);
        let gone = InstanceRequest { state: Some(InstanceState::Destroyed), ..web };
        assert_eq!(told(true, &gone), None);
        let mut screen = InstanceRequest::new("screen", SCREEN);
        screen.shared = true;
        screen.software_type = "frontend".to_owned();
        for (name, text) in [("host", "fd00::1"), ("port", "5900")] {
            screen.parameters.insert(name.to_owned(), text.to_owned());
        }
        insta::assert_snapshot!(told(true, &screen).unwrap(), @"url=https://[fd00::1]:5900/ domainname=[fd00::1] port=5900 path=/");
    }
}
