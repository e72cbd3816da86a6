//! `slapos.cookbook:check_parameter`: an executable promise about a value of the profile.
//!
//! Options:
//! - `path`: the file to write, usually in `etc/promise`, mode 0700;
//! - `value`: what is checked;
//! - `expected-type`: `ipv4` or `ipv6`, an address of that family; otherwise
//! - `expected-value`: what it must be; `expected-not-value`: what it must not be; each of them is
//!   not asked for when it is empty.
//!
//! The script ends with 0, or says what is wrong and ends with 127.

use std::net::{Ipv4Addr, Ipv6Addr};

use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common::{self, shell_quote};

/// The recipe.
pub(crate) struct CheckParameter;

impl Recipe for CheckParameter {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let path = common::path(init, &init.require("path")?);
        let value = init.require("value")?;
        let script = match init.get("expected-type") {
            Some("ipv4") => of_type(&value, "IPv4", value.parse::<Ipv4Addr>().is_ok()),
            Some("ipv6") => of_type(&value, "IPv6", value.parse::<Ipv6Addr>().is_ok()),
            _ => compared(
                &value,
                init.get("expected-value").unwrap_or_default(),
                init.get("expected-not-value").unwrap_or_default(),
            ),
        };
        Ok(Box::new(common::Files(vec![(path, script, 0o700)])))
    }
}

/// Whether the value is an address cannot change any more, so the script only tells.
fn of_type(value: &str, family: &str, is_one: bool) -> String {
    match is_one {
        true => format!("#!/bin/sh\n# {} is an {family} address\nexit 0\n", one_line(value)),
        false => {
            let message = format!("FAIL: {value} is no {family} address");
            format!("#!/bin/sh\necho {}\nexit 127\n", shell_quote(&message))
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn compared(value: &str, expected: &str, not_expected: &str) -> String {
    format!(
        "#!/bin/sh\n\
         value={}\nexpected={}\nnot_expected={}\n\
         if [ -n \"$expected\" ] && [ \"$value\" != \"$expected\" ]; then\n\
         \tprintf 'FAIL: %s != %s\\n' \"$value\" \"$expected\"\n\texit 127\nfi\n\
         if [ -n \"$not_expected\" ] && [ \"$value\" = \"$not_expected\" ]; then\n\
         \tprintf 'FAIL: %s == %s\\n' \"$value\" \"$not_expected\"\n\texit 127\nfi\n",
        shell_quote(value),
        shell_quote(expected),
        shell_quote(not_expected),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_compared() {
        insta::assert_snapshot!(compared("it's", "x", ""), @r#"
        #!/bin/sh
        value='it'"'"'s'
        expected=x
        not_expected=''
        if [ -n "$expected" ] && [ "$value" != "$expected" ]; then
        	printf 'FAIL: %s != %s\n' "$value" "$expected"
        	exit 127
        fi
        if [ -n "$not_expected" ] && [ "$value" = "$not_expected" ]; then
        	printf 'FAIL: %s == %s\n' "$value" "$not_expected"
        	exit 127
        fi
        "#);
    }
}
