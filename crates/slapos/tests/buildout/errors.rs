//! Each error of the original, told with at least what the original tells: see the texts above the
//! snapshots.

use super::*;

/// What is said of the profile `[buildout] parts = a`, followed by this.
fn said(profile: &str) -> String {
    Yard::with(&format!("[buildout]\nparts = a\n{profile}")).said(&[])
}

#[test]
fn there_is_no_profile() {
    // Error: Couldn't open F
    let yard = Yard::new();
    insta::assert_snapshot!(yard.said(&[]), @r"
    error: there is no profile /b/buildout.cfg
    help: name the profile with -c FILE, or write one with `slapos buildout init`
    exit 1
    ");
    insta::assert_snapshot!(yard.said(&["instal"]), @r"
    error: there is no command `instal`
    help: did you mean `install`?
    exit 1
    ");
    insta::assert_snapshot!(yard.said(&["-x"]), @r"
    error: there is no option `-x`
    help: `slapos buildout --help` lists the options
    exit 1
    ");
    insta::assert_snapshot!(yard.said(&["-c", "gopher://h/x"]), @r#"
    error: cannot read gopher://h/x: "gopher://h/x" is not a source: the scheme "gopher" is not known; known are https, http, ftp, file, debian, pypi, crate and npm
    exit 1
    "#);
}

#[test]
fn a_reference_leads_nowhere() {
    // While: Installing. Getting section a. Initializing section a. Getting option a:y.
    // Getting section nope. Error: The referenced section, 'nope', was not defined.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${nope:z}\n"), @r"
    error: /b/buildout.cfg:5: there is no section [nope]
       --> /b/buildout.cfg:5:7
        |
      5 | y = ${nope:z}
        |       ^^^^ no such section
    exit 1
    ");
    let by_macro = "[a]\n<= m\n[m]\nrecipe = x\ny = ${b:x}\n[b]\nx = ${nope:z}\n";
    insta::assert_snapshot!(said(by_macro), @r"
    error: /b/buildout.cfg:9: there is no section [nope]
       --> /b/buildout.cfg:9:7
        |
      9 | x = ${nope:z}
        |       ^^^^ no such section
        |
        = note: [b] is needed by [a] at /b/buildout.cfg:7
        = note: [a] has `y` from its macro [m]
    exit 1
    ");
    // Error: Referenced option does not exist: b location
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b:location}\n[b]\nplace = 1\n"), @r"
    error: /b/buildout.cfg:5: section [b] has no option `location`
       --> /b/buildout.cfg:5:9
        |
      5 | y = ${b:location}
        |         ^^^^^^^^ no such option
    exit 1
    ");
    // Error: Missing option: a:recipe
    insta::assert_snapshot!(said("[a]\nx = 1\n"), @r"
    error: /b/buildout.cfg:2: `a` is listed as a part, but [a] has no option `recipe`
       --> /b/buildout.cfg:2:9
        |
      2 | parts = a
        |         ^
        |
        = help: add `recipe = ...` to [a], or take it off the list
    exit 1
    ");
}

#[test]
fn references_are_malformed_or_circular() {
    // Error: Circular reference in substitutions.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b:z}\n[b]\nz = ${a:y}\n"), @r"
    error: /b/buildout.cfg:5: these options refer to each other: b:z -> a:y -> b:z
       --> /b/buildout.cfg:5:5
        |
      5 | y = ${b:z}
        |     ^^^^^^ leads back to itself
        |
        = note: b:z refers to a:y at /b/buildout.cfg:7
        = note: a:y refers to b:z at /b/buildout.cfg:5
        = help: replace one of these references by a plain value
    exit 1
    ");
    // Error: The substitution, ${b},\ndoesn't contain a colon.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b}\n"), @r"
    error: /b/buildout.cfg:5: the reference ${b} has no colon
       --> /b/buildout.cfg:5:5
        |
      5 | y = ${b}
        |     ^^^^
        |
        = help: write ${section:option} or ${:option}
    exit 1
    ");
    // Error: The substitution, ${b:c:d},\nhas too many colons.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b:c:d}\n"), @r"
    error: /b/buildout.cfg:5: the reference ${b:c:d} has too many colons
       --> /b/buildout.cfg:5:5
        |
      5 | y = ${b:c:d}
        |     ^^^^^^^^
        |
        = help: write ${section:option} or ${:option}
    exit 1
    ");
    // Error: The section name in substitution, ${b/x:c},\nhas invalid characters.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b/x:c}\n"), @r"
    error: /b/buildout.cfg:5: the reference ${b/x:c} has invalid characters in its section name
       --> /b/buildout.cfg:5:5
        |
      5 | y = ${b/x:c}
        |     ^^^^^^^^
        |
        = help: write ${section:option} or ${:option}
    exit 1
    ");
    // Error: The option name in substitution, ${b:c/d},\nhas invalid characters.
    insta::assert_snapshot!(said("[a]\nrecipe = x\ny = ${b:c/d}\n"), @r"
    error: /b/buildout.cfg:5: the reference ${b:c/d} has invalid characters in its option name
       --> /b/buildout.cfg:5:5
        |
      5 | y = ${b:c/d}
        |     ^^^^^^^^
        |
        = help: write ${section:option} or ${:option}
    exit 1
    ");
}

#[test]
fn macros_and_files_lead_to_themselves_or_nowhere() {
    // Error: No section named 'zz'
    insta::assert_snapshot!(said("[a]\n<= zz\n"), @r"
    error: /b/buildout.cfg:4: there is no section [zz] to build on
       --> /b/buildout.cfg:4:4
        |
      4 | <= zz
        |    ^^ no such section
    exit 1
    ");
    // Error: Infinite extending loop 'a'
    insta::assert_snapshot!(said("[a]\n<= b\n[b]\n<= a\n"), @r"
    error: /b/buildout.cfg:6: sections are built on each other: a <= b <= a
       --> /b/buildout.cfg:6:4
        |
      6 | <= a
        |    ^ leads back to itself
        |
        = help: remove one of these `<=`
    exit 1
    ");
    // Error: Recursive file include ['.../buildout.cfg', '.../x.cfg'] .../buildout.cfg
    let yard = Yard::with("[buildout]\nextends = x.cfg\n");
    yard.write("x.cfg", "[buildout]\nextends = buildout.cfg\n");
    insta::assert_snapshot!(yard.said(&[]), @r"
    error: /b/x.cfg:2: /b/buildout.cfg extends itself
       --> /b/x.cfg:2:11
        |
      2 | extends = buildout.cfg
        |           ^^^^^^^^^^^^ leads back to where it began
        |
        = note: /b/buildout.cfg extends /b/x.cfg at /b/buildout.cfg:2
        = note: /b/x.cfg extends /b/buildout.cfg at /b/x.cfg:2
        = help: remove one of these `extends`
    exit 1
    ");
    // A traceback: FileNotFoundError
    yard.write("x.cfg", "[buildout]\nextends = y.cfg\n");
    insta::assert_snapshot!(yard.said(&[]), @r"
    error: /b/x.cfg:2: there is no file /b/y.cfg
       --> /b/x.cfg:2:11
        |
      2 | extends = y.cfg
        |           ^^^^^ not found
        |
        = note: /b/x.cfg is extended at /b/buildout.cfg:2
        = help: did you mean `/b/x.cfg`?
    exit 1
    ");
}

#[test]
fn lines_make_no_sense() {
    // A traceback: File contains no section headers.\nfile: F, line: N\n'<repr of line>'
    insta::assert_snapshot!(Yard::with("x = 1\n").said(&[]), @r"
    error: /b/buildout.cfg:1: this line is above the first section header
       --> /b/buildout.cfg:1:1
        |
      1 | x = 1
        | ^^^^^
        |
        = help: a file begins with a [section]
    exit 1
    ");
    // A traceback: File contains parsing errors: F\n\t[line  3]: 'foo\n'
    insta::assert_snapshot!(said("foo\n"), @r"
    error: /b/buildout.cfg:3: this is neither an option nor a section header
       --> /b/buildout.cfg:3:1
        |
      3 | foo
        | ^^^
        |
        = help: an option is `name = value`; a line that continues a value is indented
    exit 1
    ");
    // A traceback: NameError
    insta::assert_snapshot!(said("[a:nothing]\n"), @r"
    error: /b/buildout.cfg:3: [a]: `nothing` is not known in the condition of a section
       --> /b/buildout.cfg:3:4
        |
      3 | [a:nothing]
        |    ^^^^^^^ cannot be evaluated
        |
        = help: conditions know names such as linux, bits64, python3, platform.machine(), sys.version_info and sys.platform
    exit 1
    ");
}

#[test]
fn values_of_buildout_make_no_sense() {
    // Error: Invalid value for 'offline' option: 'yes'
    insta::assert_snapshot!(said("offline = yes\n"), @r"
    error: /b/buildout.cfg:3: `offline` must be `true` or `false`, not `yes`
       --> /b/buildout.cfg:3:1
        |
      3 | offline = yes
        | ^^^^^^^^^^^^^
        |
        = help: write true or false
    exit 1
    ");
    // Error: Invalid logging level loud
    insta::assert_snapshot!(said("log-level = loud\n"), @r"
    error: /b/buildout.cfg:3: `loud` is no log-level
       --> /b/buildout.cfg:3:1
        |
      3 | log-level = loud
        | ^^^^^^^^^^^^^^^^
        |
        = help: write DEBUG, INFO, WARNING, ERROR, CRITICAL or a number
    exit 1
    ");
    insta::assert_snapshot!(said("verbosity = x\n"), @r"
    error: /b/buildout.cfg:3: `x` is no verbosity
       --> /b/buildout.cfg:3:1
        |
      3 | verbosity = x
        | ^^^^^^^^^^^^^
        |
        = help: write DEBUG, INFO, WARNING, ERROR, CRITICAL or a number
    exit 1
    ");
    insta::assert_snapshot!(said("directory = ${a:b}\n[a]\nrecipe = r\n"), @r"
    error: /b/buildout.cfg:3: the buildout directory depends on a:b
       --> /b/buildout.cfg:3:1
        |
      3 | directory = ${a:b}
        | ^^^^^^^^^^^^^^^^^^
        |
        = help: write its path
    exit 1
    ");
    insta::assert_snapshot!(said("extends-cache = ${:directory}/x\n"), @r"
    error: the cache directory `${:directory}/x` is needed before references are replaced
    help: write its path without ${...} into extends-cache or download-cache
    exit 1
    ");
}

#[test]
fn a_recipe_is_not_there() {
    insta::assert_snapshot!(said("[a]\nrecipe = slapos.recipe.tempalte\n"), @r"
    error: /b/buildout.cfg:4: there is no recipe `slapos.recipe.tempalte`, which part `a` needs
       --> /b/buildout.cfg:4:10
        |
      4 | recipe = slapos.recipe.tempalte
        |          ^^^^^^^^^^^^^^^^^^^^^^
        |
        = help: did you mean `slapos.recipe.template`?
    exit 1
    ");
}

#[test]
fn a_run_that_keeps_going_tells_every_failure() {
    let part = |name: &str, command: &str| {
        format!(
            "[{name}]\nrecipe = plone.recipe.command\nstop-on-error = true\ncommand = {command}\n"
        )
    };
    let profile = format!(
        "[buildout]\nparts = bad needs good worse\n{}{}{}{}",
        part("bad", "exit 3"),
        part("needs", "echo ${bad:command}"),
        part("good", "touch good"),
        part("worse", "exit 4"),
    );
    let yard = Yard::with(&profile);
    let told = yard.said(&["--keep-going"]);
    assert!(yard.path("good").exists(), "{told}");
    assert!(told.contains("needs: passed over: it needs `bad`, which failed"), "{told}");
    let failed: Vec<&str> = told.lines().filter(|line| line.contains("failed: ")).collect();
    insta::assert_snapshot!(failed.join("\n"), @r"
    part `bad` failed: the command ended with status 3
    part `worse` failed: the command ended with status 4
    ");
    // Without it, the first failure is the last thing that happens.
    std::fs::remove_file(yard.path("good")).unwrap();
    let told = Yard::with(&profile).said(&[]);
    assert!(told.contains("part `bad` failed") && !told.contains("part `worse`"), "{told}");
}
