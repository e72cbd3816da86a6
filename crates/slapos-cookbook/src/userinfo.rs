//! `slapos.cookbook:userinfo`: who runs this.
//!
//! Sets `pw-name`, `pw-uid`, `pw-gid`, `pw-dir` and `pw-shell` from the user's entry in the
//! password database, `gr-name` and `gr-gid` from the group's. It has no options of its own.

use nix::unistd::{Group, User, getgid, getuid};
use slapos_engine::{Part, PartInit, ProfileError, Recipe};

use crate::common;

/// The recipe.
pub(crate) struct UserInfo;

impl Recipe for UserInfo {
    fn version(&self) -> u32 {
        1
    }

    fn initialise(&self, init: &mut PartInit<'_>) -> Result<Box<dyn Part>, ProfileError> {
        let user = match User::from_uid(getuid()) {
            Ok(Some(user)) => user,
            Ok(None) => return Err(unknown(init, "user", getuid().as_raw())),
            Err(error) => return Err(unreadable(init, error)),
        };
        let group = match Group::from_gid(getgid()) {
            Ok(Some(group)) => group,
            Ok(None) => return Err(unknown(init, "group", getgid().as_raw())),
            Err(error) => return Err(unreadable(init, error)),
        };
        init.set("pw-name", &user.name);
        init.set("pw-uid", &user.uid.to_string());
        init.set("pw-gid", &user.gid.to_string());
        init.set("pw-dir", &user.dir.to_string_lossy());
        init.set("pw-shell", &user.shell.to_string_lossy());
        init.set("gr-name", &group.name);
        init.set("gr-gid", &group.gid.to_string());
        Ok(Box::new(common::OptionsOnly))
    }
}

fn unknown(init: &PartInit<'_>, what: &str, id: u32) -> ProfileError {
    let message = format!("the {what} database has no entry for {what} {id}, which runs this");
    init.error("recipe", &message, None)
}

fn unreadable(init: &PartInit<'_>, error: nix::Error) -> ProfileError {
    init.error("recipe", &format!("cannot read the user database: {error}"), None)
}
