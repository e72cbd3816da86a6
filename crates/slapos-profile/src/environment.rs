//! What a profile may ask about the machine, in `[section:expression]` headers and in `~/`.
//!
//! Invariant: nothing here is looked up by this crate; whoever loads a profile says what is true,
//! and how files are looked at ([`Disk`]).

use std::path::Path;

use indexmap::IndexMap;

/// The facts conditional sections and `~/` are evaluated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `sys.platform` in Python's words: `linux`, `darwin`, ...
    pub platform: String,
    /// `platform.machine()`: `x86_64`, `aarch64`, `i686`, ...
    pub machine: String,
    /// Whether pointers have 64 bits.
    pub bits64: bool,
    /// Whether the machine is little endian.
    pub little_endian: bool,
    /// The Python version profiles are written for: major, minor, micro.
    pub python: (u32, u32, u32),
    /// The fields of `os-release`, for `platform.freedesktop_os_release()`; `None` if unknown.
    pub os_release: Option<IndexMap<String, String>>,
    /// The release of the kernel, for `platform.release()`; `None` if unknown.
    pub release: Option<String>,
    /// How conditions look at files.
    pub disk: Disk,
    /// What `~` stands for in `extends`; `None` if unknown.
    pub home: Option<String>,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// An ordinary file.
    File,
    /// Something else.
    Other,
}

/// How the conditions of sections look at files: `os.path.isdir()`, `os.access()`, `open()`.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// What is at a path, links followed.
    pub kind: fn(&Path) -> Option<FileKind>,
    /// Whether this process may use a path: 4 to read, 2 to write, 1 to execute, added up.
    pub access: fn(&Path, u8) -> bool,
    /// The text of a file, or why it cannot be read.
    pub read: fn(&Path) -> Result<String, String>,
}

impl Disk {
    /// A machine without any file.
    pub const EMPTY: Self = Self {
        kind: |_| None,
        access: |_, _| false,
        read: |path| Err(format!("there is no file {}", path.display())),
    };
}

impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.kind, other.kind)
            && std::ptr::fn_addr_eq(self.access, other.access)
            && std::ptr::fn_addr_eq(self.read, other.read)
    }
}

impl Eq for Disk {}

/// The Python that slapos profiles are written for, when nobody says otherwise.
const PYTHON: (u32, u32, u32) = (3, 11, 0);

impl Environment {
    /// The machine this program was compiled for, with Python 3.11 and no home.
    #[must_use]
    pub fn host() -> Self {
        let platform = match std::env::consts::OS {
            "macos" => "darwin",
            "windows" => "win32",
            other => other,
        };
        let machine = match std::env::consts::ARCH {
            "x86" => "i686",
            "arm" => "armv7l",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self {
            platform: platform.to_owned(),
            machine: machine.to_owned(),
            bits64: cfg!(target_pointer_width = "64"),
            little_endian: cfg!(target_endian = "little"),
            python: PYTHON,
            os_release: None,
            release: None,
            disk: Disk::EMPTY,
            home: None,
        }
    }

    /// The GNU triplet in Debian's form, as in `x86_64-linux-gnu`.
    pub(crate) fn multiarch(&self) -> String {
        match self.machine.as_str() {
            "i386" | "i486" | "i586" | "i686" => "i386-linux-gnu".to_owned(),
            "armv7l" => "arm-linux-gnueabihf".to_owned(),
            "ppc64le" => "powerpc64le-linux-gnu".to_owned(),
            machine => format!("{machine}-linux-gnu"),
        }
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::host()
    }
}
