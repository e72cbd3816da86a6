//! Plans of `node format` as text, for machines that are described here.

use std::path::Path;

use slapos_config::Config;

use super::*;
use crate::format::observe::Directory;
use crate::format::wanted::{Survey, wanted};

fn config(alter_user: bool) -> NodeConfig {
    let text = format!(
        "[slapos]\nsoftware_root = /r/soft\ninstance_root = /r/inst\nmaster_url = http://127.0.0.1:1\ncomputer_id = c\n[slapformat]\npartition_amount = 1\nalter_user = {alter_user}\n"
    );
    NodeConfig::from_config(&Config::parse(&text, "s").unwrap(), Path::new("s")).unwrap()
}

fn planned(config: &NodeConfig, observed: &Observed) -> Result<FormatPlan, NodeError> {
    let wanted = wanted(config, &Survey::default()).unwrap();
    plan(config, &wanted, &NetworkView::default(), observed)
}

/// A machine that needs nothing.
fn in_order(config: &NodeConfig) -> Observed {
    let wanted = wanted(config, &Survey::default()).unwrap();
    let mut observed = Observed { root: true, ..Observed::default() };
    for (name, home, uid) in [("slapsoft", "/r/soft", 900), ("slapuser0", "/r/inst/slappart0", 901)]
    {
        let user = FoundUser {
            uid,
            gid: uid,
            groups: vec![uid, 900],
            home: home.into(),
            shell: "/bin/sh".into(),
            locked: true,
        };
        observed.users.insert(name.to_owned(), user);
        observed.groups.insert(name.to_owned(), uid);
    }
    for directory in wanted_directories(config, &wanted) {
        let owner = directory.owner.and_then(|owner| observed.users.get(&owner));
        let found = Directory { uid: owner.map_or(0, |user| user.uid), mode: directory.mode };
        observed.directories.insert(directory.path, found);
    }
    for step in planned(config, &observed).unwrap().steps {
        match step {
            FormatStep::WriteFile { path, text, .. } => observed.texts.insert(path, text),
            FormatStep::WriteResource { directory, text, .. } => {
                observed.texts.insert(directory.join(documents::RESOURCE_FILE), text)
            }
            other => panic!("{other}"),
        };
    }
    observed
}

#[test]
fn an_empty_machine_gets_users_before_directories_and_its_record_last() {
    let observed = Observed { root: true, ..Observed::default() };
    insta::assert_snapshot!(planned(&config(true), &observed).unwrap(), @r"
    create user slapsoft: there is none
    create user slapuser0: there is none
    create directory /r/soft (mode 0755, owner slapsoft): it is missing
    create directory /r/soft/.cache (mode 0755, owner slapsoft): it is missing
    create directory /r/inst (mode 0755): it is missing
    create directory /r/inst/slappart0 (mode 0750, owner slapuser0): it is missing
    write /r/inst/slappart0/.slapos-resource: it is missing
    write /r/inst/var/slapformat/computer.xml: it is missing
    ");
}

#[test]
fn a_machine_in_order_gets_nothing() {
    let config = config(true);
    let plan = planned(&config, &in_order(&config)).unwrap();
    assert_eq!(plan.steps, []);
    insta::assert_snapshot!(plan, @"nothing to do: users, directories and addresses are in place");
}

#[test]
fn a_partition_open_to_others_is_closed_again() {
    let config = config(true);
    let mut observed = in_order(&config);
    let partition = Directory { uid: 33, mode: 0o777 };
    observed.directories.insert("/r/inst/slappart0".into(), partition);
    let resource = Path::new("/r/inst/slappart0/.slapos-resource");
    observed.texts.insert(resource.to_owned(), "planted".to_owned());
    insta::assert_snapshot!(planned(&config, &observed).unwrap(), @r"
    give /r/inst/slappart0 to slapuser0: it belongs to uid 33
    set mode 0750 on /r/inst/slappart0: it is 0777
    write /r/inst/slappart0/.slapos-resource: it says something else
    ");
}

#[test]
fn users_are_given_what_their_partitions_need() {
    let config = config(true);
    let changed = |change: &dyn Fn(&mut FoundUser)| {
        let mut observed = in_order(&config);
        change(observed.users.get_mut("slapuser0").unwrap());
        planned(&config, &observed).unwrap().to_string()
    };
    insta::assert_snapshot!(changed(&|user| user.home = "/x".into()), @"change user slapuser0: its home is /x, not /r/inst/slappart0");
    insta::assert_snapshot!(changed(&|user| user.gid = 5), @"change user slapuser0: its group is not the one of its name");
    insta::assert_snapshot!(changed(&|user| user.shell = "/bin/false".into()), @"change user slapuser0: its shell is /bin/false, not /bin/sh");
    insta::assert_snapshot!(changed(&|user| user.groups = vec![901]), @"change user slapuser0: it is not in group slapsoft");
    insta::assert_snapshot!(changed(&|user| user.locked = false), @"lock the password of user slapuser0: one can log in with it");
}

#[test]
fn root_may_not_own_what_compiles_and_others_may_not_create_users() {
    let root = Observed { root: true, ..Observed::default() };
    insta::assert_snapshot!(planned(&config(false), &root).unwrap_err(), @"/r/soft would belong to root, and nothing compiles or runs as root");
    let user = Observed::default();
    insta::assert_snapshot!(planned(&config(true), &user).unwrap_err(), @"`alter_user = true` needs root, to create users and give them their directories");
    assert!(planned(&config(false), &user).is_ok());
}

#[test]
fn a_closed_directory_on_the_way_is_named() {
    let observed = Observed { root: true, closed: vec!["/root".into()], ..Observed::default() };
    insta::assert_snapshot!(planned(&config(true), &observed).unwrap_err(), @"the users of this node cannot pass /root (other users have no `x` on it)");
}

#[test]
fn a_directory_of_shared_parts_that_is_there_is_left_as_it_is() {
    let mut config = config(true);
    config.shared_part_list = vec!["/r/theirs".into(), "/r/ours".into()];
    let mut observed = in_order(&config);
    observed.directories.insert("/r/theirs".into(), Directory { uid: 0, mode: 0o700 });
    observed.directories.remove(Path::new("/r/ours"));
    insta::assert_snapshot!(planned(&config, &observed).unwrap(), @"create directory /r/ours (mode 0755, owner slapsoft): it is missing");
}
