//! References to what is not there, or leads back.

use insta::assert_snapshot;

use super::resolving;

#[test]
fn wrong_references() {
    assert_snapshot!(resolving("[s]\nenv =\n  A=1\n    B=${zlb:location}/x\n[zlib]\n", "s"), @r"
    error: there is no section [zlb]
     --> /p/main.cfg:4:9
      |
    4 |     B=${zlb:location}/x
      |         ^^^ no such section
      |
      = help: did you mean `zlib`?
    ");
    assert_snapshot!(resolving("[s]\na = x ${zlib:locaton}\n[zlib]\nlocation = 1\n", "s"), @r"
    error: section [zlib] has no option `locaton`
     --> /p/main.cfg:2:14
      |
    2 | a = x ${zlib:locaton}
      |              ^^^^^^^ no such option
      |
      = help: did you mean `location`?
    ");
    assert_snapshot!(resolving("[s]\na = ${:nothing}\n", "s"), @r"
    error: section [s] has no option `nothing`
     --> /p/main.cfg:2:8
      |
    2 | a = ${:nothing}
      |        ^^^^^^^ no such option
    ");
    assert_snapshot!(resolving("[s]\na = 1 ${b} 2\n", "s"), @r"
    error: the reference ${b} has no colon
     --> /p/main.cfg:2:7
      |
    2 | a = 1 ${b} 2
      |       ^^^^
      |
      = help: write ${section:option} or ${:option}
    ");
    assert_snapshot!(resolving("[s]\na = ${b:c:d}\n", "s"), @r"
    error: the reference ${b:c:d} has too many colons
     --> /p/main.cfg:2:5
      |
    2 | a = ${b:c:d}
      |     ^^^^^^^^
      |
      = help: write ${section:option} or ${:option}
    ");
    assert_snapshot!(resolving("[s]\na = ${b/x:c}\n", "s"), @r"
    error: the reference ${b/x:c} has invalid characters in its section name
     --> /p/main.cfg:2:5
      |
    2 | a = ${b/x:c}
      |     ^^^^^^^^
      |
      = help: write ${section:option} or ${:option}
    ");
    assert_snapshot!(resolving("[s]\na = ${b:c/d}\n", "s"), @r"
    error: the reference ${b:c/d} has invalid characters in its option name
     --> /p/main.cfg:2:5
      |
    2 | a = ${b:c/d}
      |     ^^^^^^^^
      |
      = help: write ${section:option} or ${:option}
    ");
    assert_snapshot!(resolving("[s]\na = ${b:}\n", "s"), @r"
    error: the reference ${b:} names no option
     --> /p/main.cfg:2:5
      |
    2 | a = ${b:}
      |     ^^^^^
      |
      = help: write ${section:option} or ${:option}
    ");
    assert_snapshot!(resolving("[s]\n<= m\nx = 1\n[m]\ny = é ${:x} ${:zz}\n", "s"), @r"
    error: section [s] has no option `zz`
     --> /p/main.cfg:5:16
      |
    5 | y = é ${:x} ${:zz}
      |                ^^ no such option
      |
      = note: [s] has `y` from its macro [m]
    ");
    assert_snapshot!(
        resolving("[buildout]\nextends = a.cfg\n[s]\nx += ${t:x}\n\
            --- /p/a.cfg\n[s]\nx = 1\n[t]\nx = 1\n  ${u:location}\n[u]\ny = ${missing:z}\n", "s"),
        @r"
        error: there is no section [missing]
         --> /p/a.cfg:7:7
          |
        7 | y = ${missing:z}
          |       ^^^^^^^ no such section
          |
          = note: /p/a.cfg is extended at /p/main.cfg:2
          = note: [u] is needed by [t] at /p/a.cfg:5
          = note: [t] is needed by [s] at /p/main.cfg:4
        "
    );
}

#[test]
fn circular_references() {
    assert_snapshot!(resolving("[s]\na = ${:b}\nb = 1 ${:a}\n", "s"), @r"
    error: these options refer to each other: s:a -> s:b -> s:a
     --> /p/main.cfg:3:7
      |
    3 | b = 1 ${:a}
      |       ^^^^^ leads back to itself
      |
      = note: s:a refers to s:b at /p/main.cfg:2
      = note: s:b refers to s:a at /p/main.cfg:3
      = help: replace one of these references by a plain value
    ");
    assert_snapshot!(
        resolving("[s]\na = ${t:x}\n[t]\nx =\n  1\n  ${u:y}\n[u]\ny = ${s:a}\n", "s"),
        @r"
        error: these options refer to each other: u:y -> s:a -> t:x -> u:y
         --> /p/main.cfg:6:3
          |
        6 |   ${u:y}
          |   ^^^^^^ leads back to itself
          |
          = note: u:y refers to s:a at /p/main.cfg:8
          = note: s:a refers to t:x at /p/main.cfg:2
          = note: t:x refers to u:y at /p/main.cfg:6
          = help: replace one of these references by a plain value
        "
    );
    assert_snapshot!(
        resolving("[s]\nrecipe = r\na = ${t:location}\n[t]\nrecipe = r\nb = ${s:location}\n", "s"),
        @r"
        error: section [s] has no option `location`
         --> /p/main.cfg:6:9
          |
        6 | b = ${s:location}
          |         ^^^^^^^^ no such option
          |
          = note: [t] is needed by [s] at /p/main.cfg:3
          = help: [s] needs this section itself, so its recipe has not set the option yet
        "
    );
}
