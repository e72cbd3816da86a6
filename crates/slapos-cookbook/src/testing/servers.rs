//! Recipes that write what starts a server: PostgreSQL, Redis, the small HTTP server.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;

use slapos_testkit::{Person, free_port, is_root, skipped, wait_for};

use super::certificates::Service;
use super::*;

const POSTGRES: &str = "\
[buildout]
parts = pg
[pg]
recipe = slapos.cookbook:postgres
bin = BIN
pgdata-directory = srv/pg
dbname = my db
superuser = the root
password = s3cret
ipv4 = 127.0.0.1
ipv6 =
  ::1
port = 54321
services = etc/service
";

pub(super) fn program(yard: &Yard, name: &str, script: &str) {
    let path = yard.write(name, &format!("#!/bin/sh\n{script}"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_cluster_is_made_whole_or_not_at_all_and_its_password_follows() {
    let yard = Yard::software();
    let log = yard.path("log").display().to_string();
    let note = format!("printf '%s|' \"${{0##*/}}\" \"$@\" >> {log}; echo >> {log}\n");
    program(&yard, "bin/initdb", &format!("{note}mkdir \"$2\" && echo 15 > \"$2/PG_VERSION\"\n"));
    program(&yard, "bin/postgres", &format!("{note}cat >> {log}; echo 'ERROR:  no such thing'\n"));
    program(&yard, "bin/psql", &format!("{note}cat \"${{14}}\" >> {log}\n"));
    program(&yard, "bin/pg_ctl", &format!("{note}exit 0\n"));
    let profile = POSTGRES.replace("BIN", "bin");
    insta::assert_snapshot!(yard.error(&profile), @r#"
    part `pg` failed: the command ended with status 1
      defined at: ROOT/build/test.cfg:3
      command: CREATE DATABASE "my db"
      log: ROOT/build/.slapos/log/pg.log, which ends with:
        | making the cluster
        | $ ROOT/build/bin/initdb -D ROOT/build/srv/pg.new -A ident -E UTF8 -U the root
        | $ CREATE DATABASE "my db"
        | ERROR:  no such thing
    "#);
    assert!(!yard.path("srv/pg").exists() && !yard.path("srv/pg.new").exists());

    program(&yard, "bin/postgres", &format!("{note}cat >> {log}\n"));
    std::fs::remove_file(yard.path("log")).unwrap();
    yard.run(&profile).unwrap();
    insta::assert_snapshot!(yard.clean(&yard.read("log")), @r#"
    initdb|-D|ROOT/build/srv/pg.new|-A|ident|-E|UTF8|-U|the root|
    postgres|--single|-D|ROOT/build/srv/pg.new|-c|log_min_error_statement=panic|postgres|
    CREATE DATABASE "my db";
    postgres|--single|-D|ROOT/build/srv/pg.new|-c|log_min_error_statement=panic|postgres|
    ALTER USER "the root" ENCRYPTED PASSWORD 'md5796c05b95579b57e2d773535c6d653d2';
    "#);
    insta::assert_snapshot!(yard.clean(&yard.read("srv/pg/postgresql.conf")), @r"
    listen_addresses = '127.0.0.1,::1'
    port = 54321
    logging_collector = on
    log_rotation_size = 50MB
    max_connections = 100
    datestyle = 'iso, mdy'
    lc_messages = 'C.UTF-8'
    lc_monetary = 'C.UTF-8'
    lc_numeric = 'C.UTF-8'
    lc_time = 'C.UTF-8'
    default_text_search_config = 'pg_catalog.english'
    unix_socket_directories = 'ROOT/build/srv/pg'
    unix_socket_permissions = 0700
    ");
    insta::assert_snapshot!(yard.read("srv/pg/pg_hba.conf"), @r"
    local all all trust
    host all all 127.0.0.1/32 md5
    host all all ::1/128 md5
    host all all 127.0.0.1/32 md5
    host all all ::1/128 md5
    ");
    insta::assert_snapshot!(yard.clean(&yard.read("etc/service/postgres-start")), @r"
    #!/bin/sh
    exec ROOT/build/bin/postgres \
        -D ROOT/build/srv/pg
    ");
    assert!(!yard.path("srv/pg/slapos.sql").exists());
    assert!(yard.plan(&profile).unwrap().is_noop());

    // A running server is asked; one that is dead is not waited for.
    std::fs::remove_file(yard.path("log")).unwrap();
    yard.write("srv/pg/postmaster.pid", "1\n");
    let other = profile.replace("s3cret", "hunter2");
    yard.run(&other).unwrap();
    insta::assert_snapshot!(yard.clean(&yard.read("log")), @r#"
    pg_ctl|status|-D|ROOT/build/srv/pg|
    psql|-X|-q|-v|ON_ERROR_STOP=1|-h|ROOT/build/srv/pg|-p|54321|-U|the root|-d|my db|-f|ROOT/build/srv/pg/slapos.sql|
    ALTER USER "the root" ENCRYPTED PASSWORD 'md58fb57cc9780afdb2a4f19c9d1a61f1c3';
    "#);
    program(&yard, "bin/pg_ctl", "exit 3\n");
    yard.run(&profile).unwrap();
    assert!(!yard.path("srv/pg/postmaster.pid").exists());

    // The data stay; what runs them goes.
    yard.run("[buildout]\nparts =\n").unwrap();
    assert!(yard.path("srv/pg/PG_VERSION").exists());
    assert!(!yard.path("etc/service/postgres-start").exists());
}

/// The directory of PostgreSQL's programs, if they are here.
fn postgres() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.map(|version| version.unwrap().path().join("bin")));
    }
    let programs = ["initdb", "postgres", "pg_ctl", "psql"];
    let whole = |place: &PathBuf| programs.iter().all(|name| place.join(name).exists());
    places.into_iter().find(whole).ok_or_else(|| "there is no PostgreSQL".to_owned())
}

#[test]
fn a_real_cluster_lets_in_who_knows_the_password() {
    const NAME: &str = "a_real_cluster_lets_in_who_knows_the_password";
    let bin = match postgres() {
        Ok(bin) => bin,
        Err(why) => return skipped(NAME, &why),
    };
    if is_root() {
        // Whom PostgreSQL refuses.
        let again = Person::runs_again(&format!("testing::servers::{NAME}"));
        return again.unwrap_or_else(|why| skipped(NAME, &why));
    }
    let yard = Yard::software();
    let port = free_port();
    let profile = POSTGRES
        .replace("BIN", &bin.to_string_lossy())
        .replace("54321", &port.to_string())
        .replace("\n  ::1", "");
    yard.run(&profile).unwrap();
    let _server = Service::start(&yard, "etc/service/postgres-start");
    let ask = |password: &str| {
        let output = Command::new(bin.join("psql"))
            .args(["-X", "-w", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", "the root"])
            .args(["-d", "my db", "-A", "-t", "-c", "select 6 * 7"])
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    wait_for("PostgreSQL", 60, || (ask("s3cret") == "42\n").then_some(()));
    assert_eq!(ask("hunter2"), "");
    yard.run(&profile.replace("s3cret", "hunter2")).unwrap();
    assert_eq!((ask("hunter2").as_str(), ask("s3cret").as_str()), ("42\n", ""));
}

#[test]
fn the_url_of_a_cluster_is_a_secret() {
    let yard = Yard::software();
    program(&yard, "bin/initdb", "mkdir \"$2\" && echo 15 > \"$2/PG_VERSION\"\n");
    program(&yard, "bin/postgres", "");
    let profile = format!(
        "{}[gen]\nrecipe = slapos.cookbook:generate.password\n\
         [f]\nrecipe = slapos.recipe.template\noutput = f\ninline = ${{pg:url}}\n",
        POSTGRES
            .replace("BIN", "bin")
            .replace("= s3cret", "= ${gen:passwd}")
            .replace("= pg", "= f")
    );
    yard.run(&profile).unwrap();
    let url = yard.read("f");
    let password = url.strip_prefix("postgresql://the root:").unwrap();
    let password = password.strip_suffix("@[::1]:54321/my db").unwrap();
    assert!(!yard.read(".slapos/installed.json").contains(password));
    insta::assert_snapshot!(yard.error(&profile.replace("= the root", "= o'root")), @r"ROOT/build/test.cfg:8: `superuser` must have a name without quotes, `$` and `\`");
}

#[test]
fn redis_gets_its_configuration_and_a_check() {
    let yard = Yard::software();
    let profile = "\
[buildout]
parts = r
[r]
recipe = slapos.cookbook:redis.server
config-file = etc/redis.conf
wrapper = etc/service/redis
promise-wrapper = etc/promise/redis
server-bin = /opt/redis-server
cli-bin = /opt/redis-cli
ipv6 = ::1
port = 6379
unixsocket = /srv/redis.sock
pid-file = /srv/redis.pid
log-file = /srv/redis.log
server-dir = /srv/my data
use-passwd = true
passwd = a\"b
";
    yard.run(profile).unwrap();
    insta::assert_snapshot!(yard.read("etc/redis.conf"), @r#"
    pidfile /srv/redis.pid
    port 6379
    bind ::1
    logfile /srv/redis.log
    dir "/srv/my data"
    unixsocket /srv/redis.sock
    unixsocketperm 700
    masterauth "a\"b"
    daemonize no
    timeout 0
    tcp-keepalive 0
    loglevel notice
    databases 16
    save 900 1
    save 300 10
    save 60 10000
    repl-diskless-sync no
    "#);
    assert_eq!(yard.mode("etc/redis.conf"), 0o600);
    insta::assert_snapshot!(yard.clean(&yard.read("etc/service/redis")), @r#"
    #!/bin/sh -e
    exec /opt/redis-server ROOT/build/etc/redis.conf \
    	"$@"
    "#);
    insta::assert_snapshot!(yard.read("etc/promise/redis"), @r#"
    #!/bin/sh -e
    exec /opt/redis-cli -h ::1 -p 6379 -s /srv/redis.sock \
    	publish Promise-Service 'SlapOS Promise' \
    	"$@"
    "#);
    yard.run(&profile.replace("promise-wrapper", "x").replace("use-passwd", "y")).unwrap();
    assert!(!yard.path("etc/promise/redis").exists());
    assert!(!yard.read("etc/redis.conf").contains("masterauth"));
}

const HTTP: &str = "\
[buildout]
parts = s f
[s]
recipe = slapos.cookbook:simplehttpserver
socketpath = s.sock
base-path = www
log-file = log
wrapper = server
allow-write = true
[f]
recipe = slapos.recipe.template
output = f
inline = ${s:address}
";

/// What the server answers to a request through its socket.
fn ask(yard: &Yard, request: &str) -> String {
    let mut stream = UnixStream::connect(yard.path("s.sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn post(yard: &Yard, kind: &str, body: &str) -> String {
    let head = format!("Content-Type: {kind}\r\nContent-Length: {}", body.len());
    let answer = ask(yard, &format!("POST / HTTP/1.0\r\n{head}\r\n\r\n{body}"));
    let status = answer.split(' ').nth(1).unwrap().to_owned();
    format!("{status} {}", answer.split("\r\n\r\n").nth(1).unwrap())
}

#[test]
fn the_http_server_reads_and_writes_files_below_its_directory() {
    if Command::new("python3").arg("-V").output().is_err() {
        let name = "the_http_server_reads_and_writes_files_below_its_directory";
        return skipped(name, "there is no python3");
    }
    let yard = Yard::software();
    yard.write("www/a.txt", "hello");
    yard.write("secret", "precious");
    yard.run(HTTP).unwrap();
    assert_eq!(yard.clean(&yard.read("f")), "ROOT/build/s.sock");
    let server = Service::start(&yard, "server");
    wait_for("the server", 60, || UnixStream::connect(yard.path("s.sock")).ok());
    assert!(
        ask(&yard, "GET /a.txt HTTP/1.0\r\nCookie: c\r\nX-Mine: 1\r\n\r\n")
            .ends_with("\r\n\r\nhello")
    );
    assert!(ask(&yard, "GET /../secret HTTP/1.0\r\n\r\n").contains(" 404 "));
    let form = "application/x-www-form-urlencoded";
    assert_eq!(post(&yard, form, "path=d/b&content=%C3%A9+1"), "200 Content written to d/b");
    post(&yard, form, "path=d/b&content=2");
    assert_eq!(yard.read("www/d/b"), "é 12");
    post(&yard, form, "path=d/b&content=3&clear=1");
    assert_eq!(yard.read("www/d/b"), "3");
    assert_eq!(post(&yard, form, "path=../secret&content=x"), "403 Forbidden");
    assert!(post(&yard, form, "path=x").starts_with("400 "));
    assert!(post(&yard, "text/plain", "path=x").starts_with("400 "));
    let part = |name: &str, value: &str| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!("{}{}--XX--\r\n", part("path", "m"), part("content", "one\r\ntwo\n"));
    assert!(post(&yard, "multipart/form-data; boundary=XX", &body).starts_with("200 "));
    assert_eq!(yard.read("www/m"), "one\r\ntwo\n");
    assert_eq!(yard.read("secret"), "precious");
    let log = yard.read("log");
    assert!(log.contains("- \"GET /a.txt HTTP/1.0\" 200 -\n  Cookie: ***\n  X-Mine: 1\n"), "{log}");

    // The socket of a dead server is no hindrance; without `allow-write` nothing is written.
    drop(server);
    yard.run(&HTTP.replace("allow-write = true", "")).unwrap();
    let _server = Service::start(&yard, "server");
    wait_for("the server", 60, || UnixStream::connect(yard.path("s.sock")).ok());
    assert_eq!(post(&yard, form, ""), "403 Forbidden");
}

#[test]
fn the_http_server_listens_at_one_place() {
    let yard = Yard::software();
    let at = |options: &str| HTTP.replace("socketpath = s.sock", options);
    yard.run(&at("host = ::1\nport = 80")).unwrap();
    assert_eq!(yard.read("f"), "!py!('::1', 80)");
    yard.run(&at("abstract = my name")).unwrap();
    assert_eq!(yard.read("f"), "\0my name");
    insta::assert_snapshot!(yard.error(&at("")), @"ROOT/build/test.cfg:4: one of `host` with `port`, `socketpath` and `abstract` is needed");
    insta::assert_snapshot!(yard.error(&at("host = a\nsocketpath = b\nport = 1")), @"ROOT/build/test.cfg:4: one of `host` with `port`, `socketpath` and `abstract` is needed");
    insta::assert_snapshot!(yard.error(&at("host = a\nport = b")), @"ROOT/build/test.cfg:6: `port` must be a number up to 65535, not `b`");
}

#[test]
fn the_http_server_speaks_tls() {
    let has = |program: &str, option: &str| Command::new(program).arg(option).output().is_ok();
    if !(has("python3", "-V") && has("openssl", "version")) {
        return skipped("the_http_server_speaks_tls", "there is no python3 or no openssl");
    }
    let yard = Yard::software();
    yard.write("www/a.txt", "hello");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(yard.path(""))
        .output();
    assert!(made.unwrap().status.success());
    yard.run(&HTTP.replace("allow-write = true", "cert-file = cert.pem\nkey-file = key.pem"))
        .unwrap();
    let _server = Service::start(&yard, "server");
    // One that says nothing keeps nobody waiting.
    let _silent = wait_for("the server", 60, || UnixStream::connect(yard.path("s.sock")).ok());
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-unix", "s.sock", "-CAfile", "cert.pem"])
        .current_dir(yard.path(""))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"GET /a.txt HTTP/1.0\r\n\r\n").unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("\r\n\r\nhello"), "{output:?}");
}
