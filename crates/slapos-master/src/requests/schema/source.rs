//! The documents of a Software Release: which of them may be read, and what is in them.
//!
//! Files of the Master's machine are read for the operator's project only, when the Software Release
//! itself is such a file, and only ordinary ones. What is of the network is not read here, where it is
//! judged by: it was read before ([`super::reading`]), and what is missing is only noted. A release has
//! at most [`MOST`] documents.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use slapos_slap::SoftwareUrl;
use url::Url;

use super::web::{Reach, Web};

/// The largest document, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// The most documents of one Software Release.
pub(super) const MOST: usize = 100;

/// Documents of the network by their addresses: JSON, or why they cannot be read.
pub(crate) type Texts = BTreeMap<String, Result<String, String>>;

/// Where a Software Release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In files of this machine, which are read whenever it is judged by them.
    Files,
    /// On the network.
    Network,
}

/// The documents of one Software Release.
#[derive(Debug)]
pub(crate) struct Documents {
    software: Url,
    /// Whether files may be read.
    files: bool,
    web: Web,
    /// What was read of the network.
    texts: Arc<Texts>,
    /// What was asked for so far.
    known: Mutex<HashMap<String, Result<Value, String>>>,
    missed: AtomicBool,
}

impl Documents {
    /// Those of a Software Release, for an instance of that project; `texts` was read of the network.
    ///
    /// # Errors
    /// When they may not be read.
    pub(crate) fn of(
        software: &SoftwareUrl,
        project: &str,
        web: Web,
        texts: Arc<Texts>,
    ) -> Result<Documents, String> {
        let text = software.as_str();
        let url = match text.starts_with('/') {
            true => Url::from_file_path(text).map_err(|()| "its path is none".to_owned())?,
            false => Url::parse(text).map_err(|error| format!("its address is none: {error}"))?,
        };
        let files = url.scheme() == "file" && project.is_empty();
        let (known, missed) = (Mutex::default(), AtomicBool::new(false));
        let documents = Documents { software: url, files, web, texts, known, missed };
        documents.permit(&documents.software)?;
        Ok(documents)
    }

    /// Where the Software Release is.
    pub(crate) fn origin(&self) -> Origin {
        if self.files { Origin::Files } else { Origin::Network }
    }

    /// Whether a document was asked for that nobody has tried to read of the network.
    pub(crate) fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// What of the network may be read.
    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    /// Where the description of the Software Release is.
    ///
    /// # Errors
    /// When that is no address.
    pub(super) fn description(&self) -> Result<Url, String> {
        self.permitted(&format!("{}.json", self.software))
    }

    /// What describes the Software Release.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn software(&self) -> Result<Value, String> {
        self.absolute(self.description()?.as_str())
    }

    /// Where a document is that the description names.
    ///
    /// # Errors
    /// When that is no address.
    pub(super) fn place(&self, reference: &str) -> Result<Url, String> {
        self.software.join(reference).map_err(|error| format!("{reference}: {error}"))
    }

    /// A document named in the description, and its address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn named(&self, reference: &str) -> Result<(String, Value), String> {
        let url = self.place(reference)?;
        let document = self.absolute(url.as_str())?;
        Ok((url.into(), document))
    }

    /// The document at an address.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn absolute(&self, address: &str) -> Result<Value, String> {
        let url = self.permitted(address)?;
        // Nothing that can panic is done under the lock.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = known.get(url.as_str()) {
            return document.clone();
        }
        if known.len() >= MOST {
            return Err(too_many());
        }
        let document = self.text(&url).and_then(|text| parsed(&url, &text));
        known.insert(url.into(), document.clone());
        document
    }

    /// An address that may be read, without its fragment.
    ///
    /// # Errors
    /// Why it may not be read.
    pub(super) fn permitted(&self, address: &str) -> Result<Url, String> {
        let mut url = Url::parse(address).map_err(|error| format!("{address}: {error}"))?;
        url.set_fragment(None);
        self.permit(&url)?;
        Ok(url)
    }

    fn permit(&self, url: &Url) -> Result<(), String> {
        match url.scheme() {
            "file" if self.files => Ok(()),
            "file" => {
                Err("files of the Master's machine are read for the operator only".to_owned())
            }
            scheme @ ("http" | "https") => {
                let host = url.host_str().unwrap_or_default();
                match self.web.reach(scheme, host, url.port()) {
                    Reach::Nowhere => Err(self.web.refusal(scheme)),
                    Reach::Public | Reach::Anywhere => Ok(()),
                }
            }
            scheme => Err(format!("{scheme}: is not read")),
        }
    }

    fn text(&self, url: &Url) -> Result<String, String> {
        match (url.scheme(), self.texts.get(url.as_str())) {
            ("file", _) => read_file(url),
            (_, Some(text)) => text.clone(),
            (_, None) if self.texts.len() >= MOST => Err(too_many()),
            (_, None) if is_standard(url) => Err(format!("{url} is not known")),
            (_, None) => {
                self.missed.store(true, Ordering::Relaxed);
                Err(format!("{} is not read yet", shown(url)))
            }
        }
    }
}

/// Whether a document is a part of JSON schema itself, which is not read.
pub(super) fn is_standard(url: &Url) -> bool {
    url.host_str() == Some("json-schema.org")
}

fn too_many() -> String {
    format!("more than {MOST} documents belong to it")
}

/// What is in a document.
///
/// # Errors
/// When it is no JSON. What is in it instead is not repeated: it may be no schema at all.
pub(super) fn parsed(url: &Url, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|_| format!("{} is no JSON", shown(url)))
}

/// An address for messages: without what it may have of a name and a password.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that cannot have any.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// What is in a file of this machine.
pub(super) fn read_file(url: &Url) -> Result<String, String> {
    let path: PathBuf = url.to_file_path().map_err(|()| format!("{url} is no path"))?;
    slapos_sys::fs::read_to_string_limited(&path, MAX_BYTES)
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read() {
        let off = Web { https: false, ..Web::default() };
        let of = |software: &str, project, web: &Web| {
            Documents::of(&software.into(), project, web.clone(), Arc::default())
        };
        let refused = |software: &str, project, web: &Web| {
            of(software, project, web).err().unwrap_or_default()
        };
        let usual = &Web::default();
        assert_eq!(refused("/s.cfg", "", &off), "");
        assert!(refused("/s.cfg", "p", usual).contains("operator only"));
        assert!(refused("file:///s.cfg", "p", usual).contains("operator only"));
        assert!(refused("https://example.org/s.cfg", "", &off).contains("schema_http"));
        assert!(refused("http://example.org/s.cfg", "", usual).contains("by http: `schema_http`"));
        assert!(refused("ftp://example.org/s.cfg", "", usual).contains("not read"));
        // What comes from the network names no file.
        let documents = of("https://example.org/s", "p", usual).unwrap();
        assert!(documents.absolute("file:///etc/x.json").unwrap_err().contains("operator only"));
        assert!(!documents.missed());
    }

    #[test]
    fn of_the_network_there_is_what_was_read_before() {
        let texts: Texts = [
            ("https://example.org/s.json".to_owned(), Ok(r#"{"a": 1}"#.to_owned())),
            ("https://example.org/gone.json".to_owned(), Err("404".to_owned())),
        ]
        .into();
        let software = "https://example.org/s".into();
        let documents = Documents::of(&software, "p", Web::default(), Arc::new(texts)).unwrap();
        assert_eq!(documents.origin(), Origin::Network);
        assert_eq!(documents.software().unwrap()["a"], 1);
        assert_eq!(documents.named("gone.json#/x").unwrap_err(), "404");
        assert!(!documents.missed());
        let standard = "https://json-schema.org/draft-99/schema";
        assert!(documents.absolute(standard).unwrap_err().contains("is not known"));
        assert!(!documents.missed());
        let missing = documents.named("other.json").unwrap_err();
        assert_eq!(missing, "https://example.org/other.json is not read yet");
        assert!(documents.missed());
    }
}
