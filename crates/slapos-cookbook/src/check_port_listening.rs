//! `slapos.cookbook:check_port_listening`: an executable promise that a TCP port answers.
//!
//! Options:
//! - `path`: the file to write, usually in `etc/promise`, mode 0700;
//! - `hostname`, `port`: what must accept a connection.
//!
//! The second line of the script is the header that the node runs natively; run by hand, it tries
//! bash. It ends with 0, or with 127 as the original does.

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, shell_quote};
use crate::promise::{Script, header};

/// The recipe.
pub(crate) struct CheckPortListening;

impl Recipe for CheckPortListening {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("path")?);
        let hostname = init.require("hostname")?.trim().to_owned();
        let port = init.require("port")?.trim().to_owned();
        if port.parse::<u16>().is_err() {
            let message = format!("`port` must be a port number, not `{port}`");
            return Err(init.error("port", &message, None));
        }
        Ok(Box::new(Script { path, content: script(&hostname, &port), mode: 0o700 }))
    }
}

fn script(hostname: &str, port: &str) -> String {
    let config = [("hostname".to_owned(), hostname.into()), ("port".to_owned(), port.into())];
    let header = header("slapos.promise.plugin.check_port_listening", &config);
    let host = shell_quote(hostname);
    format!(
        "#!/bin/sh\n{header}\n\
         if command -v bash >/dev/null && bash -c ': </dev/tcp/\"$0\"/\"$1\"' {host} {port} \
         2>/dev/null\n\
         then exit 0\nfi\n\
         echo {} >&2\nexit 127\n",
        shell_quote(&format!("nothing listens on {hostname} port {port}"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_the_header_in_its_second_line() {
        insta::assert_snapshot!(script("::1", "8080"), @r#"
        #!/bin/sh
        # slapos-promise: {"module":"slapos.promise.plugin.check_port_listening","config":{"hostname":"::1","port":"8080"}}
        if command -v bash >/dev/null && bash -c ': </dev/tcp/"$0"/"$1"' ::1 8080 2>/dev/null
        then exit 0
        fi
        echo 'nothing listens on ::1 port 8080' >&2
        exit 127
        "#);
    }
}
