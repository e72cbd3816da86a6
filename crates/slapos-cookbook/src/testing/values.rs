//! Recipes that give options: drawn, read or taken apart.

use super::*;

fn ledger(yard: &Yard) -> String {
    yard.read(".slapos/installed.json")
}

const PASSWORD: &str = "\
[buildout]
parts = conf plain

[gen]
recipe = slapos.cookbook:generate.password
storage-path = ${buildout:directory}/etc/passwd

[conf]
recipe = slapos.recipe.template:jinja2
output = ${buildout:directory}/conf
context = key passwd gen:passwd
inline = {{ passwd }}

[plain]
recipe = slapos.recipe.template
output = ${buildout:directory}/plain
url-with-password = http://me:${gen:passwd}@host/
inline = ${:url-with-password}
";

#[test]
fn a_password_is_drawn_once_kept_in_its_file_and_recorded_nowhere() {
    let yard = Yard::software();
    let plan = yard.plan(PASSWORD).unwrap();
    yard.run(PASSWORD).unwrap();
    let password = yard.read("conf");
    assert_eq!(password.len(), 16);
    assert!(password.chars().all(|c| c.is_ascii_alphanumeric()));
    assert_eq!(yard.read("etc/passwd"), format!("{{\"\": \"{password}\"}}"));
    assert_eq!(yard.mode("etc/passwd"), 0o600);
    assert_eq!(yard.read("plain"), format!("http://me:{password}@host/"));
    assert!(!ledger(&yard).contains(&password), "{}", ledger(&yard));
    assert!(ledger(&yard).contains("http://me:***@host/"));
    assert!(!serde_json::to_string(&plan).unwrap().contains(&password));
    assert!(yard.plan(PASSWORD).unwrap().is_noop());

    // Another password reaches all who use it, and no reason tells it.
    yard.write("etc/passwd", "hunter2\n");
    let plan = yard.plan(PASSWORD).unwrap();
    assert!(!serde_json::to_string(&plan).unwrap().contains("hunter2"));
    insta::assert_snapshot!(yard.clean(&plan.to_string()), @r"
    update  gen: its password is not in ROOT/build/etc/passwd yet
    install conf: content of its context changed
    install plain: content of option `inline`, which holds a secret, changed; content of option `url-with-password`, which holds a secret, changed; content of the rendered text changed
    ");
    yard.run(PASSWORD).unwrap();
    assert_eq!(yard.read("conf"), "hunter2");
    assert_eq!(yard.read("plain"), "http://me:hunter2@host/");
    assert_eq!(yard.read("etc/passwd"), "{\"\": \"hunter2\"}");
    assert!(!ledger(&yard).contains("hunter2"));

    // It outlives the part.
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("conf").exists());
    assert_eq!(yard.read("etc/passwd"), "{\"\": \"hunter2\"}");
}

#[test]
fn a_password_may_be_given_go_with_its_part_or_be_stored_nowhere() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = gen\n[gen]\nrecipe = slapos.cookbook:generate.password\n";
    yard.run(&format!("{profile}bytes = 5\ncreate-once = false\n")).unwrap();
    assert_eq!(yard.read("parts/gen").len(), "{\"\": \"12345\"}".len());
    yard.run(&format!("{profile}create-once = false\npasswd = given1\n")).unwrap();
    assert_eq!(yard.read("parts/gen"), "{\"\": \"given1\"}");
    assert!(!ledger(&yard).contains("given1"));
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(!yard.path("parts/gen").exists());
    let nowhere = format!("{profile}storage-path =\n");
    yard.run(&nowhere).unwrap();
    assert!(yard.plan(&nowhere).unwrap().is_noop());
    insta::assert_snapshot!(yard.error(&format!("{profile}bytes = many\n")), @"ROOT/build/test.cfg:5: `bytes` must be a number from 1 to 4096, not `many`");
}

#[test]
fn hashes_are_taken_from_the_file_and_new_ones_are_refused() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = f\n[gen]\nrecipe = slapos.cookbook:generate.password\n\
                   [f]\nrecipe = slapos.recipe.template\noutput = f\n\
                   inline = ${gen:passwd-sha512-crypt}\n";
    let error = yard.run(profile).unwrap_err();
    let BuildError::Profile(error) = error else { panic!("{error}") };
    insta::assert_snapshot!(yard.clean(&error.render(false)), @r"
    error: section [gen] has no option `passwd-sha512-crypt`
     --> ROOT/build/test.cfg:8:16
      |
    8 | inline = ${gen:passwd-sha512-crypt}
      |                ^^^^^^^^^^^^^^^^^^^ no such option
      |
      = help: hashes of a password need the Python host (passlib), which this version does not have: hash it where it is used, or have the program hash it
    ");
    yard.write("parts/gen", r#"{"": "abcdef", "passwd-sha512-crypt": "$6$x$y"}"#);
    yard.run(profile).unwrap();
    assert_eq!(yard.read("f"), "$6$x$y");
    assert!(!ledger(&yard).contains("$6$"), "{}", ledger(&yard));
    assert_eq!(yard.read("parts/gen"), r#"{"": "abcdef", "passwd-sha512-crypt": "$6$x$y"}"#);
}

#[test]
fn what_is_logged_or_fails_shows_no_secret() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = c\n[gen]\nrecipe = slapos.cookbook:generate.password\n\
                   passwd = hunter2\n[c]\nrecipe = plone.recipe.command\nstop-on-error = true\n\
                   command = echo; : ${gen:passwd}; exit 3\n";
    let events = Mutex::new(Vec::new());
    let mut buildout = yard.buildout(profile, None);
    let plan = buildout.plan().unwrap();
    let note = |event: &Event| events.lock().unwrap().push(serde_json::to_string(event).unwrap());
    let error = buildout.execute(&plan, &note).unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    insta::assert_snapshot!(yard.clean(&error.to_string()), @r"
    part `c` failed: the command ended with status 3
      defined at: ROOT/build/test.cfg:6
      command: echo; : ***; exit 3
      log: ROOT/build/.slapos/log/c.log, which ends with:
        | $ echo; : ***; exit 3
        |
    ");
    assert!(!yard.read(".slapos/log/c.log").contains("hunter2"));
    assert!(!ledger(&yard).contains("hunter2"));
    let events = events.into_inner().unwrap().join("\n");
    assert!(events.contains("ended with status 3"), "{events}");
    assert!(!events.contains("hunter2"));
}

#[test]
fn what_is_drawn_stays() {
    let yard = Yard::software();
    let profile = "[buildout]\nparts = f mac\n\
                   [n]\nrecipe = slapos.cookbook:random.integer\nminimum = -3\nmaximum = 1000000\n\
                   [t]\nrecipe = slapos.cookbook:random.time\n\
                   [mac]\nrecipe = slapos.cookbook:generate.mac\nstorage-path = mac\n\
                   [f]\nrecipe = slapos.recipe.template\noutput = f\n\
                   inline = ${n:value} ${t:time} ${mac:mac-address}\n";
    yard.run(profile).unwrap();
    let drawn = yard.read("f");
    let words: Vec<&str> = drawn.split(' ').collect();
    assert!((-3..=1_000_000).contains(&words[0].parse::<i64>().unwrap()), "{drawn}");
    let (hour, minute) = words[1].split_once(':').unwrap();
    assert!(hour.parse::<u8>().unwrap() < 24 && minute.len() == 2, "{drawn}");
    assert_eq!((words[2].len(), &words[2][..3]), (17, "fe:"));
    assert_eq!(yard.read("mac"), words[2]);
    assert!(yard.plan(profile).unwrap().is_noop());
    yard.write("mac", "fe:00:00:00:00:01");
    yard.run(profile).unwrap();
    assert!(yard.read("f").ends_with(" fe:00:00:00:00:01"));
    let one = profile.replace("= 1000000", "= -3");
    yard.run(&one).unwrap();
    assert!(yard.read("f").starts_with("-3 "));
    insta::assert_snapshot!(yard.error(&profile.replace("= 1000000", "= -4")), @"ROOT/build/test.cfg:5: `minimum` -3 is above `maximum` -4");
}

#[test]
fn users_urls_and_lines_are_options() {
    let yard = Yard::software();
    yard.write("line", "first\nsecond\n");
    let profile = "[buildout]\nparts = f\n\
                   [u]\nrecipe = slapos.cookbook:userinfo\n\
                   [url]\nrecipe = slapos.cookbook:urlparse\n\
                   url = http://me:s3cret@[::1]:80/a/b/?q#f\n\
                   [line]\nrecipe = slapos.cookbook:readline\nstorage-path = line\n\
                   [f]\nrecipe = slapos.recipe.template\noutput = f\n\
                   inline = ${u:pw-uid}:${u:gr-gid} ${url:host} ${url:port} ${url:path} \
                   ${url:username} ${url:password} ${url:query}${url:fragment} [${line:readline}]\n";
    yard.run(profile).unwrap();
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let expected = format!("{uid}:{gid} ::1 80 a/b me s3cret qf [first\n]");
    assert_eq!(yard.read("f"), expected);
    assert!(!ledger(&yard).contains("s3cret"), "{}", ledger(&yard));
    assert!(yard.plan(profile).unwrap().is_noop());
    let absent = profile.replace("storage-path = line", "storage-path = none");
    insta::assert_snapshot!(yard.error(&absent), @r"
    part `line` failed: there is no file ROOT/build/none to read a line of
      defined at: ROOT/build/test.cfg:8
      help: give `when-absent`, or make the file first
    ");
    yard.run(&absent.replace("= none", "= none\nwhen-absent = x")).unwrap();
    assert!(yard.read("f").ends_with("[x]"));
}
