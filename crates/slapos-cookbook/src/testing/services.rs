//! Recipes of small services that few profiles use.

use std::process::{Command, Stdio};

use slapos_testkit::{skipped, wait_for};

use super::certificates::Service;
use super::servers::program;
use super::*;

#[test]
fn small_services_get_their_start_scripts() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = to4 to6 queue kumo tid
[to4]
recipe = slapos.cookbook:ipv6toipv4
runner-path = bin/to4
6tunnel-path = /opt/6tunnel
shell-path = /bin/dash
ipv4 = 127.0.0.1
ipv4-port = 80
ipv6 = ::1
ipv6-port = 8080
[to6]
<= to4
recipe = slapos.cookbook:ipv4toipv6
runner-path = bin/to6
[queue]
recipe = slapos.cookbook:equeue
wrapper = bin/equeue
equeue-binary = /opt/equeue
socket = /srv/equeue.sock
lockfile = /srv/equeue.lock
log = /srv/equeue.log
database = /srv/equeue.db
takeover-triggered-file-path = /srv/taken over
[kumo]
recipe = slapos.cookbook:generic.kumofs
gateway-wrapper = bin/gateway
manager-wrapper = bin/manager
server-wrapper = bin/server
shell-path = /bin/dash
kumo-gateway-binary = /opt/kumo-gateway
kumo-manager-binary = /opt/kumo-manager
kumo-server-binary = /opt/kumo-server
kumo-gateway-log = /srv/g.log
kumo-manager-log = /srv/m.log
kumo-server-log = /srv/s.log
ip = 10.0.0.1
gateway-port = 1
manager-port = 2
server-port = 3
server-listen-port = 4
data-directory = /srv
[tid]
recipe = slapos.cookbook:tidstorage
configuration-path = etc/tid.py
known-tid-storage-identifier-dict = !py!{'a': [1]}
ip = 10.0.0.1
port = 5
timestamp-file-path = /srv/t
logfile-name =
pidfile-name = /srv/it's.pid
status-file = /srv/s
tidstorage-wrapper = bin/tid
tidstoraged-binary = /opt/tidstoraged
repozo-wrapper = bin/repozo
tidstorage-repozo-binary = /opt/tidstorage_repozo
repozo-binary = /opt/repozo
";
    yard.run(profile).unwrap();
    assert!(yard.plan(profile).unwrap().is_noop());
    insta::assert_snapshot!(yard.read("bin/to4"), @r"
    #!/bin/dash
    exec /opt/6tunnel -6 -4 -d -l ::1 8080 127.0.0.1 80
    ");
    insta::assert_snapshot!(yard.read("bin/to6"), @r"
    #!/bin/dash
    exec /opt/6tunnel -d -l 127.0.0.1 80 ::1 8080
    ");
    assert_eq!(yard.mode("bin/to6"), 0o700);
    insta::assert_snapshot!(yard.read("bin/equeue"), @r#"
    #!/bin/sh -e
    exec /opt/equeue --database /srv/equeue.db \
    	--logfile /srv/equeue.log --lockfile /srv/equeue \
    	--takeover-triggered-file-path '/srv/taken over' \
    	/srv/equeue.sock "$@"
    "#);
    let kumo = ["bin/gateway", "bin/manager", "bin/server"].map(|name| yard.read(name));
    insta::assert_snapshot!(kumo.concat(), @r"
    #!/bin/dash
    exec /opt/kumo-gateway -F -E -m 10.0.0.1:2 -t 10.0.0.1:1 -o /srv/g.log
    #!/bin/dash
    exec /opt/kumo-manager -a -l 10.0.0.1:2 -o /srv/m.log
    #!/bin/dash
    exec /opt/kumo-server -l 10.0.0.1:3 -L 4 -m 10.0.0.1:2 -s /srv/kumodb.tch -o /srv/s.log
    ");
    insta::assert_snapshot!(yard.read("etc/tid.py"), @r#"
    known_tid_storage_identifier_dict = {'a': [1]}
    address = '10.0.0.1'
    port = 5
    burst_period = 30
    full_dump_period = 300
    timestamp_file_path = '/srv/t'
    logfile_name = ''
    pidfile_name = "/srv/it's.pid"
    status_file = '/srv/s'
    "#);
    let wrappers = ["bin/tid", "bin/repozo"].map(|name| yard.clean(&yard.read(name)));
    insta::assert_snapshot!(wrappers.concat(), @r#"
    #!/bin/sh -e
    exec /opt/tidstoraged --nofork --config ROOT/build/etc/tid.py \
    	"$@"
    #!/bin/sh -e
    exec /opt/tidstorage_repozo --config ROOT/build/etc/tid.py \
    	--repozo /opt/repozo --gzip --quick "$@"
    "#);
    insta::assert_snapshot!(yard.error(&profile.replace("equeue.lock", "equeue")), @"ROOT/build/test.cfg:21: `lockfile` must end with `.lock`, and `/srv/equeue` does not");
    let without = profile.replace("tidstorage-wrapper = bin/tid\n", "");
    yard.run(&without).unwrap();
    assert!(!yard.path("bin/tid").exists());
}

#[test]
fn options_in_a_file_may_be_edited() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = write f
[write]
recipe = slapos.cookbook:zero-knowledge.write
filename = known.cfg
Password =
rate = 5%
[read]
recipe = slapos.cookbook:zero-knowledge.read
filename = known.cfg
password = none
[f]
recipe = slapos.recipe.template
output = f
inline = ${read:password}
";
    yard.run(profile).unwrap();
    assert_eq!(yard.read("f"), "none");
    insta::assert_snapshot!(yard.read("known.cfg"), @r"
    [write]
    password = 
    rate = 5%%
    ");
    yard.run(profile).unwrap();
    assert_eq!(yard.read("f"), "");
    assert!(yard.plan(profile).unwrap().is_noop());
    yard.write("known.cfg", "# mine\n[other]\nx = 1\n[write]\npassword: by hand\n");
    yard.run(profile).unwrap();
    insta::assert_snapshot!(yard.read("known.cfg"), @r"
    [other]
    x = 1

    [write]
    password = by hand
    rate = 5%%
    ");
    assert_eq!(yard.read("f"), "by hand");
    yard.write("known.cfg", "[write]\nnonsense\n");
    let error = yard.error(profile);
    assert!(error.contains("test.cfg:10: ") && error.contains("known.cfg:2: "), "{error}");
    let nowhere = profile.replace("filename = known.cfg\npassword", "password");
    assert!(yard.error(&nowhere).contains("one of `filename` and `file-path` is needed"));
}

#[test]
fn keys_let_in_and_go_with_their_part() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = k\n[k]\n\
                   recipe = slapos.cookbook:dropbear.add_authorized_key\nhome = h\nkey = ssh-x A\n";
    yard.run(profile).unwrap();
    assert_eq!(yard.read("h/.ssh/authorized_keys"), "ssh-x A");
    assert_eq!((yard.mode("h/.ssh"), yard.mode("h/.ssh/authorized_keys")), (0o700, 0o600));
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("h/.ssh/authorized_keys").exists());
}

const SSH: &str = "\
[buildout]
parts = ca one f
[ca]
recipe = slapos.cookbook:sshkeys_authority
request-directory = requests
keygen-binary = ${buildout:directory}/openssh/ssh-keygen
wrapper = bin/authority
[one]
recipe = slapos.cookbook:sshkeys_authority.request
request-directory = requests
keys-directory = keys
type = rsa
size = 2048
private-key = etc/key
public-key = etc/key.pub
executable = /bin/echo
wrapper = bin/one
[f]
recipe = slapos.recipe.template
output = f
inline = ${one:name} ${one:public-key-value}
";

#[test]
fn ssh_keys_are_made_for_who_asks() {
    let yard = Yard::software();
    std::fs::create_dir_all(yard.path("openssh")).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let keygen = std::env::split_paths(&path).map(|place| place.join("ssh-keygen"));
    let Some(keygen) = keygen.into_iter().find(|program| program.exists()) else {
        return skipped("ssh_keys_are_made_for_who_asks", "there is no ssh-keygen");
    };
    std::os::unix::fs::symlink(keygen, yard.path("openssh/ssh-keygen")).unwrap();
    yard.run(SSH).unwrap();
    assert_eq!(yard.read("f"), "one ");
    std::fs::create_dir_all(yard.path("keys")).unwrap();
    let mut waiting = Command::new(yard.path("bin/one")).stdout(Stdio::null()).spawn().unwrap();
    let daemon = Service::start(&yard, "bin/authority");
    assert!(waiting.wait().unwrap().success());
    let public = yard.read("etc/key.pub");
    assert!(public.starts_with("ssh-rsa AAAA"), "{public}");
    assert!(yard.read("etc/key").starts_with("-----BEGIN"));
    assert_eq!(yard.mode("etc/key"), 0o600);
    drop(daemon);

    // The public key is known from now on; it is made again from the private one.
    yard.run(SSH).unwrap();
    assert!(yard.read("f").starts_with("one ssh-rsa AAAA"));
    let target = std::fs::read_link(yard.path("etc/key.pub")).unwrap();
    std::fs::remove_file(target).unwrap();
    let _daemon = Service::start(&yard, "bin/authority");
    wait_for("the public key", 60, || yard.path("etc/key.pub").exists().then_some(()));
    assert_eq!(yard.read("etc/key.pub"), public.trim_end());

    for (from, to) in
        [("type = rsa", "type = r\"a"), ("= 2048", "= big"), ("[one]", "[one]\nname = a/b")]
    {
        assert!(yard.run(&SSH.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn tables_are_brought_up_to_date_as_soon_as_the_server_is_there() {
    let yard = Yard::software();
    let log = yard.path("log").display().to_string();
    // The server comes up between the first try and the second.
    let upgrade = format!("[ -e {log} ] && exit; : > {log}; echo no server; exit 2\n");
    program(&yard, "opt/mysql_upgrade", &upgrade);
    program(&yard, "opt/mysql", &format!("echo \"mysql $*\" >> {log}; cat >> {log}\n"));
    program(&yard, "opt/mysql_tzinfo_to_sql", "echo \"zones of $1\"\n");
    yard.write("init.sql", "select 1;\n");
    let profile = "[buildout]\nparts = u\n[u]\n\
                   recipe = slapos.cookbook:generic.mysql.wrap_update_mysql\noutput = update\n\
                   binary = opt/mysql_upgrade\nmysql = opt/mysql\ninit-script = init.sql\n";
    yard.run(profile).unwrap();
    let script =
        yard.read("update").replace("/usr/share/zoneinfo", &yard.path("z").to_string_lossy());
    let run = || Command::new("/bin/sh").arg("-c").arg(&script).output().unwrap();
    let output = run();
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "trying again in 1 s\n\nthe database is up to date\n");
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("failed:\nno server\n"));
    assert_eq!(yard.read("log"), "mysql -B\nselect 1;\n");
    std::fs::create_dir(yard.path("z")).unwrap();
    assert!(run().status.success());
    let zones = format!("mysql -B mysql\nzones of {}\n", yard.path("z").display());
    assert!(yard.read("log").ends_with(&zones), "{}", yard.read("log"));
}
