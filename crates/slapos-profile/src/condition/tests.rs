//! Each expression found in real profiles, and what is refused.

use super::*;
use crate::{Disk, FileKind};

fn machine() -> Environment {
    Environment {
        platform: "linux".to_owned(),
        machine: "x86_64".to_owned(),
        bits64: true,
        little_endian: true,
        python: (3, 11, 4),
        os_release: Some(IndexMap::from([("ID".to_owned(), "debian".to_owned())])),
        home: None,
        release: Some("6.1.0-18-amd64".to_owned()),
        disk: Disk {
            kind: |path| path.starts_with("/usr").then_some(FileKind::Directory),
            access: |path, mode| path.starts_with("/proc") && mode == 4,
            read: |_| Ok("A20-OLinuXino".to_owned()),
        },
    }
}

fn holds(expression: &str) -> bool {
    match evaluate(expression, &machine()) {
        Ok(answer) => answer,
        Err(problem) => panic!("{expression}: {problem:?}"),
    }
}

#[test]
fn true_ones() {
    for expression in [
        "python3",
        "python311",
        "os.path.isdir('/usr/lib/x') and os.access('/proc/m', os.R_OK) and 'OLinuX' in open('/proc/m').read()",
        "not os.path.isfile('/usr/lib') and not os.path.exists('/lib')",
        "[int(q) for q in platform.release().split('.')[:2]] >= [4, 14]",
        "not [int(q) for q in platform.release().split('.')[:2]]<[4,14]",
        "[q.upper() for q in ('a', 'b')] == ['A', 'B']",
        "int('12') < 13 and int(3) == 3",
        "linux and platform.machine() == \"x86_64\"",
        "linux and platform.machine() == 'x86_64'",
        " bits64 ",
        "posix",
        "sys.version_info >= (3, 8)",
        "sys.version_info < (3,12)",
        "not (linux and platform.machine() == \"i386\")",
        "not linux or platform.machine() != 'riscv64'",
        "pypy or sys.version_info >= (3,9)",
        "sys.version_info < (3, 10) or (platform.freedesktop_os_release()['ID'] == 'debian')",
        "python_version < \"3.12\" and python_version > '3.9'",
        "platform_system == \"Linux\"",
        "sys.platform.startswith(('lin', 'win'))",
        "sys.version_info[0] == 3 and sys.version_info[:2] == (3, 11)",
        "sys.version_info[-1] == 0",
        "sys.version_info.minor == 11",
        "platform.machine() in ('x86_64', 'aarch64')",
        "platform.machine() not in ['i386']",
        "'86' in platform.machine()",
        "2 < 3 <= 3 != 4",
        "linux or open('/etc/x').read()",
        "multiarch == 'x86_64-linux-gnu'",
        "sys.maxsize > 2147483647",
        "\"\\x23\\x3b\" == '\\x23;'",
        "sys.version_info == sys.version_info",
        "True and not None and not ()",
        "platform.python_version().split('.')[:2] == ['3', '11']",
    ] {
        assert!(holds(expression), "{expression}");
    }
}

#[test]
fn false_ones() {
    for expression in [
        "python2",
        "python27",
        "python3110",
        "bits32",
        "windows or macosx or solaris or cygwin",
        "pypy or sys.version_info >= (3,13)",
        "linux and platform.machine() == 'i386'",
        "windows and unknown_name",
        "python_version >= '3.11.1'",
        "not linux",
        "1 == 'a'",
        "3 > 2 > 2",
    ] {
        assert!(!holds(expression), "{expression}");
    }
}

fn refused(expression: &str) -> String {
    match evaluate(expression, &machine()) {
        Ok(answer) => format!("gave {answer}"),
        Err(p) => format!("{} | {}", expression.get(p.at).unwrap_or("?"), p.message),
    }
}

#[test]
fn refused_ones() {
    let expected = [
        ("linus", "linus | `linus` is not known in the condition of a section"),
        (
            "os.path.getsize('/usr/lib')",
            "os.path.getsize | `os.path.getsize()` is not known in the condition of a section",
        ),
        (
            "platform.libc_ver() == '5'",
            "platform.libc_ver | `platform.libc_ver()` is not known in the condition of a section",
        ),
        (
            "[[p for p in q] for q in 'x'.split()]",
            "for q in 'x'.split()] | this is not understood in the condition of a section",
        ),
        ("linux and", "linux and | this condition is incomplete"),
        ("(linux", "(linux | `)` is missing at the end"),
        ("'abc", "'abc | this text has no end"),
        ("linux ~ 3", "~ | this is not understood in the condition of a section"),
        ("linux linux", "linux | this is not understood in the condition of a section"),
        ("1 < 'a'", "1 < 'a' | these cannot be compared"),
        ("platform.machine(1)", "platform.machine(1) | this takes no arguments"),
        ("linux.x", "linux.x | `linux.x` is not known in the condition of a section"),
        ("'a'.b", "'a'.b | `b` is not known in the condition of a section"),
        ("[q for q in x]", "x | `x` is not known in the condition of a section"),
        ("[q for q in 'x']", "'x' | this is not a list"),
        ("int('x')", "int('x') | `x` is not a number"),
        (
            "os.access('/')",
            "os.access('/') | this takes a path and os.R_OK, os.W_OK, os.X_OK or os.F_OK",
        ),
        ("'a'[9]", "'a'[9] | this index has no value"),
    ];
    for (expression, message) in expected {
        assert_eq!(refused(expression), message, "for {expression}");
    }
}

#[test]
fn nesting_is_bounded() {
    for deep in [
        "(".repeat(100_000),
        "not ".repeat(100_000),
        "linux and ".repeat(100_000),
        "linux or ".repeat(100_000),
        format!("x{}", "[0]".repeat(100_000)),
        format!("x{}", "(y".repeat(100_000)),
    ] {
        assert!(evaluate(&deep, &machine()).is_err());
    }
}
