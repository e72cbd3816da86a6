//! The names an expression may use, and what they stand for in an [`Environment`].

use std::path::Path;

use super::Value;
use crate::environment::{Environment, FileKind};

/// Names to propose for a misspelt one.
pub(super) const NAMES: &[&str] = &[
    "big_endian",
    "bits32",
    "bits64",
    "cpython",
    "cygwin",
    "linux",
    "little_endian",
    "macosx",
    "multiarch",
    "os.access()",
    "os.name",
    "os.path.exists()",
    "os.path.isdir()",
    "os.path.isfile()",
    "os_name",
    "platform.freedesktop_os_release()",
    "platform.machine()",
    "platform.python_implementation()",
    "platform.python_version()",
    "platform.release()",
    "platform.system()",
    "platform_machine",
    "platform_system",
    "posix",
    "pypy",
    "python2",
    "python3",
    "python_full_version",
    "python_version",
    "solaris",
    "sys.byteorder",
    "sys.maxsize",
    "sys.platform",
    "sys.version_info",
    "sys_platform",
    "windows",
];

/// The value of a dotted name.
pub(super) fn fact(env: &Environment, path: &str) -> Option<Value> {
    let (major, minor, micro) = env.python;
    let is = |platform: &str| Some(Value::Bool(env.platform == platform));
    let text = |text: &str| Some(Value::Str(text.to_owned()));
    match path {
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        "None" => Some(Value::None),
        "linux" => is("linux"),
        "windows" => is("win32"),
        "cygwin" => is("cygwin"),
        "macosx" => is("darwin"),
        "solaris" => Some(Value::Bool(env.platform.starts_with("sunos"))),
        "posix" => Some(Value::Bool(env.platform != "win32")),
        "cpython" => Some(Value::Bool(true)),
        "pypy" | "jython" | "ironpython" => Some(Value::Bool(false)),
        "bits64" => Some(Value::Bool(env.bits64)),
        "bits32" => Some(Value::Bool(!env.bits64)),
        "little_endian" => Some(Value::Bool(env.little_endian)),
        "big_endian" => Some(Value::Bool(!env.little_endian)),
        "multiarch" | "sys._multiarch" | "sys.implementation._multiarch" => text(&env.multiarch()),
        "sys.platform" | "sys_platform" => text(&env.platform),
        "sys.maxsize" => Some(Value::Int(if env.bits64 { i64::MAX } else { i64::from(i32::MAX) })),
        "sys.byteorder" => text(if env.little_endian { "little" } else { "big" }),
        "sys.version_info" => Some(Value::Sequence(vec![
            Value::Int(i64::from(major)),
            Value::Int(i64::from(minor)),
            Value::Int(i64::from(micro)),
            Value::Str("final".to_owned()),
            Value::Int(0),
        ])),
        "sys.version_info.major" => Some(Value::Int(i64::from(major))),
        "sys.version_info.minor" => Some(Value::Int(i64::from(minor))),
        "sys.version_info.micro" => Some(Value::Int(i64::from(micro))),
        "sys.implementation.name" | "implementation_name" => text("cpython"),
        "os.F_OK" => Some(Value::Int(0)),
        "os.X_OK" => Some(Value::Int(1)),
        "os.W_OK" => Some(Value::Int(2)),
        "os.R_OK" => Some(Value::Int(4)),
        "os.name" | "os_name" => text(if env.platform == "win32" { "nt" } else { "posix" }),
        "platform_machine" => text(&env.machine),
        "platform_system" => Some(Value::Str(system(env))),
        "platform_python_implementation" => text("CPython"),
        "python_version" => Some(Value::Version(format!("{major}.{minor}"))),
        "python_full_version" | "implementation_version" => {
            Some(Value::Version(format!("{major}.{minor}.{micro}")))
        }
        _ => {
            let digits = path.strip_prefix("python")?;
            let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let same = digits == major.to_string() || digits == format!("{major}{minor}");
            numeric.then_some(Value::Bool(same))
        }
    }
}

/// The value of a function called without arguments.
pub(super) fn call(env: &Environment, path: &str) -> Option<Value> {
    let (major, minor, micro) = env.python;
    match path {
        "platform.machine" => Some(Value::Str(env.machine.clone())),
        "platform.system" => Some(Value::Str(system(env))),
        "platform.release" => env.release.clone().map(Value::Str),
        "platform.python_version" => Some(Value::Str(format!("{major}.{minor}.{micro}"))),
        "platform.python_implementation" => Some(Value::Str("CPython".to_owned())),
        "platform.freedesktop_os_release" => env.os_release.clone().map(Value::Map),
        _ => None,
    }
}

/// The value of a function called with arguments, or why it has none; `None` if it is not known.
pub(super) fn function(
    env: &Environment,
    path: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    let kind = |wanted: &[FileKind]| match arguments {
        [Value::Str(path)] => {
            let found = (env.disk.kind)(Path::new(path));
            Ok(Value::Bool(found.is_some_and(|kind| wanted.contains(&kind))))
        }
        _ => Err("this takes one path".to_owned()),
    };
    let result = match path {
        "os.path.isdir" => kind(&[FileKind::Directory]),
        "os.path.isfile" => kind(&[FileKind::File]),
        "os.path.exists" => kind(&[FileKind::Directory, FileKind::File, FileKind::Other]),
        "os.access" => match arguments {
            [Value::Str(path), mode]
                if mode.as_int().is_some_and(|mode| (0..8).contains(&mode)) =>
            {
                let mode = mode.as_int().and_then(|mode| u8::try_from(mode).ok()).unwrap_or(0);
                Ok(Value::Bool((env.disk.access)(Path::new(path), mode)))
            }
            _ => Err("this takes a path and os.R_OK, os.W_OK, os.X_OK or os.F_OK".to_owned()),
        },
        "open" => match arguments {
            [Value::Str(path)] | [Value::Str(path), Value::Str(_)] => {
                (env.disk.read)(Path::new(path)).map(Value::File)
            }
            _ => Err("this takes one path".to_owned()),
        },
        "int" => match arguments {
            [Value::Int(number)] => Ok(Value::Int(*number)),
            [Value::Bool(truth)] => Ok(Value::Int(i64::from(*truth))),
            [Value::Str(text)] => match text.trim().parse() {
                Ok(number) => Ok(Value::Int(number)),
                Err(_) => Err(format!("`{text}` is not a number")),
            },
            _ => Err("this takes one text".to_owned()),
        },
        _ => return None,
    };
    Some(result)
}

/// A method of a value.
pub(super) fn method(base: &Value, name: &str, arguments: &[Value]) -> Option<Value> {
    if let (Value::Map(map), "get") = (base, name) {
        let (key, default) = match arguments {
            [key] => (key, Value::None),
            [key, default] => (key, default.clone()),
            _ => return None,
        };
        return Some(map.get(key.as_str()?).cloned().map_or(default, Value::Str));
    }
    if let (Value::File(content), "read", []) = (base, name, arguments) {
        return Some(Value::Str(content.clone()));
    }
    let text = base.as_str()?;
    let any = |test: &dyn Fn(&str) -> bool| match arguments {
        [Value::Sequence(items)] => {
            Some(Value::Bool(items.iter().filter_map(Value::as_str).any(test)))
        }
        [one] => Some(Value::Bool(test(one.as_str()?))),
        _ => None,
    };
    match (name, arguments) {
        ("startswith", _) => any(&|part| text.starts_with(part)),
        ("endswith", _) => any(&|part| text.ends_with(part)),
        ("lower", []) => Some(Value::Str(text.to_lowercase())),
        ("upper", []) => Some(Value::Str(text.to_uppercase())),
        ("strip", []) => Some(Value::Str(text.trim().to_owned())),
        ("split", []) => Some(sequence(text.split_whitespace())),
        ("split", [separator]) if separator.as_str().is_some_and(|s| !s.is_empty()) => {
            Some(sequence(text.split(separator.as_str()?)))
        }
        _ => None,
    }
}

fn sequence<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    Value::Sequence(items.map(|item| Value::Str(item.to_owned())).collect())
}

fn system(env: &Environment) -> String {
    match env.platform.as_str() {
        "linux" => "Linux".to_owned(),
        "darwin" => "Darwin".to_owned(),
        "win32" => "Windows".to_owned(),
        other => other.to_owned(),
    }
}
