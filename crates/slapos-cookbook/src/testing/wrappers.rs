//! `slapos.cookbook:wrapper`: what its scripts do when they are started.

use super::*;

#[test]
fn wrappers_start_programs_and_refuse_what_a_shell_cannot() {
    let yard = Yard::instance();
    let wrapper = "[buildout]\nparts = w\n[w]\nrecipe = slapos.cookbook:wrapper\n\
                   wrapper-path = w\ncommand-line = /bin/echo 'a b' c\nenvironment = X=1\n";
    yard.run(wrapper).unwrap();
    let output = std::process::Command::new(yard.path("w")).arg("d e").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a b c d e\n");
    assert_eq!(yard.mode("w"), 0o700);
    insta::assert_snapshot!(yard.error(&format!("{wrapper}redirect-signal = USR2\n")), @"ROOT/build/test.cfg:8: `redirect-signal` makes no sense where no output is redirected");
    insta::assert_snapshot!(yard.error(&format!("{wrapper}redirect-stdout = x\nsig-ign = usr\n")), @"ROOT/build/test.cfg:9: `sig-ign` must name a signal, not `usr`");
    insta::assert_snapshot!(yard.error(&format!("{wrapper}private-tmpfs = much /x\n")), @"ROOT/build/test.cfg:8: `much /x` is not a size and a path");
    insta::assert_snapshot!(yard.error(&wrapper.replace("b'", "b")), @"ROOT/build/test.cfg:6: `command-line` is empty or has a quote without its partner");
}

#[test]
fn wrappers_give_programs_directories_in_memory_and_ask_for_processors() {
    let yard = Yard::instance();
    let profile = "[buildout]\nparts = w\n[w]\nrecipe = slapos.cookbook:wrapper\nwrapper-path = w\n\
                   reserve-cpu = True\nprivate-tmpfs = 64k it's\nenvironment = X=a b\n\
                   command-line = /bin/sh -c 'id -u; stat -f -c %T \"$1\"; echo $$ $X > \"$1/x\"; cat \"$1/x\"' sh it's\n"
        .replace("sh it's\n", "sh \"it's\"\n");
    yard.run(&profile).unwrap();
    insta::assert_snapshot!(yard.clean(&yard.read("w")), @r##"
    #!/bin/sh -e
    home=${HOME:-ROOT/build}
    echo $$ >> "$home/.slapos-cpu-exclusive"
    [ -d 'ROOT/build/it'"'"'s' ] || mkdir 'ROOT/build/it'"'"'s'
    user=$(id -u) group=$(id -g)
    unshare=$(command -v unshare) && mount=$(command -v mount) || {
    	echo 'private-tmpfs needs unshare and mount, of util-linux' >&2
    	exit 1
    }
    export X='a b'
    exec "$unshare" --user --mount --map-root-user /bin/sh -ec 'user=$1 group=$2 unshare=$3 mount=$4
    shift 4
    "$mount" -t tmpfs -o size=64k tmpfs '"'"'ROOT/build/it'"'"'"'"'"'"'"'"'s'"'"'
    exec "$unshare" --user --map-user="$user" --map-group="$group" "$@"' private-tmpfs "$user" "$group" "$unshare" "$mount" \
    	/bin/sh -c 'id -u; stat -f -c %T "$1"; echo $$ $X > "$1/x"; cat "$1/x"' \
    	sh 'it'"'"'s' "$@"
    "##);
    let mut command = std::process::Command::new(yard.path("w"));
    let output = command.current_dir(yard.path("")).env("HOME", yard.path("")).output().unwrap();
    assert!(yard.read(".slapos-cpu-exclusive").trim().parse::<u32>().is_ok());
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        slapos_testkit::skipped("private-tmpfs", &format!("users get no namespaces here: {told}"));
        return;
    }
    let own = std::process::Command::new("id").arg("-u").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], [String::from_utf8_lossy(&own.stdout).trim(), "tmpfs"], "{told}");
    let id = yard.read(".slapos-cpu-exclusive");
    assert_eq!(lines[2], format!("{} a b", id.trim()), "it is the process that was started");
    assert!(yard.path("it's").is_dir() && !yard.path("it's/x").exists(), "nobody else sees it");
}

#[test]
fn wrappers_put_output_into_files_that_can_be_rotated() {
    use slapos_testkit::wait_for;
    let yard = Yard::instance();
    yard.write(
        "program.py",
        "import signal, sys, time\ndef told(*_):\n    print('two', flush=True)\n    sys.exit(7)\n\
         signal.signal(signal.SIGUSR2, told)\nprint('one', flush=True)\n\
         sys.stderr.write('error\\n')\nsys.stderr.flush()\nwhile True: time.sleep(0.01)\n",
    );
    let profile = "[buildout]\nparts = w\n[w]\nrecipe = slapos.cookbook:wrapper\nwrapper-path = w\n\
                   command-line = python3 ${buildout:directory}/program.py\npidfile = pid\n\
                   redirect-signal = USR2\nredirect-stdout = it's.log\n\
                   redirect-stderr = ${:redirect-stdout}\n";
    yard.run(profile).unwrap();
    let mut command = std::process::Command::new(yard.path("w"));
    let mut child = command.current_dir(yard.path("")).spawn().unwrap();
    let says = |file: &str, text: &str| {
        std::fs::read_to_string(yard.path(file)).is_ok_and(|log| log == text).then_some(())
    };
    wait_for("the first lines", 30, || says("it's.log", "one\nerror\n"));
    assert_eq!(yard.read("pid"), child.id().to_string(), "signals go to what stays");
    std::fs::rename(yard.path("it's.log"), yard.path("old.log")).unwrap();
    let sent = std::process::Command::new("kill").args(["-USR1", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    wait_for("a new file", 30, || says("it's.log", "two\n"));
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(yard.read("old.log"), "one\nerror\n");
}

#[test]
fn wrappers_wait_for_files_and_do_not_start_a_program_twice() {
    use slapos_testkit::wait_for;
    let yard = Yard::instance();
    let profile = "[buildout]\nparts = w\n[w]\nrecipe = slapos.cookbook:wrapper\n\
                   wrapper-path = w\ncommand-line = /bin/sleep 1000 0\nsig-ign = USR1\n\
                   environment = PATH=/none\nwait-for-files = a b/c\npidfile = it's.pid\n";
    yard.run(profile).unwrap();
    insta::assert_snapshot!(yard.clean(&yard.read("w")), @r#"
    #!/bin/sh -e
    trap '' USR1
    pid=
    [ ! -e 'ROOT/build/it'"'"'s.pid' ] || read -r pid < 'ROOT/build/it'"'"'s.pid' || :
    case $pid in
    '' | *[!0-9]*) ;;
    *)
    	running=$(tr '\0' '\n' 2> /dev/null < /proc/$pid/cmdline) || running=
    	case "
    $running
    " in
    	*'
    /bin/sleep
    1000
    0
    '*)
    		echo "Already running with pid $pid." >&2
    		exit 1
    	esac
    esac
    printf %s $$ > 'ROOT/build/it'"'"'s.pid'
    until [ -e ROOT/build/a ] && [ -e ROOT/build/b/c ]; do
    	sleep 1
    done
    export PATH=/none
    exec /bin/sleep 1000 0 "$@"
    "#);
    // A process of that id that is another program does not matter, nor does an unfinished file.
    yard.write("it's.pid", &std::process::id().to_string());
    let _service = certificates::Service::start(&yard, "w");
    let started = |yard: &Yard| {
        let pid = yard.read("it's.pid");
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split('\0').eq(["/bin/sleep", "1000", "0", ""])
    };
    wait_for("the id", 30, || {
        (yard.read("it's.pid") != std::process::id().to_string()).then_some(())
    });
    assert!(!started(&yard));
    yard.write("a", "");
    yard.write("b/c", "");
    wait_for("the program", 30, || started(&yard).then_some(()));
    let again = std::process::Command::new(yard.path("w")).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).starts_with("Already running with pid "));
    assert!(started(&yard));
}
