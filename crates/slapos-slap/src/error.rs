//! What can go wrong between us and a Master, each with what to do about it.

use crate::marshal::MarshalError;

/// The longest part of an unexpected answer that is worth showing, in characters.
const SHOWN: usize = 500;

/// A question to a Master that was not answered as wished.
#[derive(Debug, thiserror::Error)]
pub enum SlapError {
    /// The Master's address is not one.
    #[error(
        "{url:?} is not the URL of a Master: {reason}; set `master_url` in the configuration to \
         something like http://127.0.0.1:5000"
    )]
    InvalidUrl {
        /// What was given.
        url: String,
        /// Why it is refused.
        reason: String,
    },
    /// Nobody answered, or not within the time limit.
    #[error(
        "the Master at {url} does not answer: {reason}; if it is the embedded one, start it with \
         `slapos proxy start`, otherwise check `master_url` in the configuration"
    )]
    Unreachable {
        /// The Master's URL.
        url: String,
        /// What the connection attempt said.
        reason: String,
    },
    /// The Master does not have what was asked for (404).
    #[error("the Master at {url} answers 404 to /{route}{}", said(message))]
    NotFound {
        /// The Master's URL.
        url: String,
        /// The path that was asked, without its first slash.
        route: String,
        /// The Master's words.
        message: String,
    },
    /// The Master does not accept who we are (401 or 403).
    #[error(
        "the Master at {url} refuses us: it answers {status} to /{route}{}; {advice}",
        said(message)
    )]
    Unauthorised {
        /// The Master's URL.
        url: String,
        /// The path that was asked, without its first slash.
        route: String,
        /// The HTTP status.
        status: u16,
        /// The Master's words.
        message: String,
        /// What to do about it.
        advice: String,
    },
    /// Whoever answers does not know our token, and so did not get it.
    #[error(
        "something answers at {url}, but it is not our Master (it does not know the token): \
         {reason}; the token was not sent. If another program has that address, stop it and start \
         the Master; if it is the Master, restart it, and give this configuration the token that \
         it was started with; if it is another kind of Master, configure no token"
    )]
    Impostor {
        /// Where our Master should be.
        url: String,
        /// What it did instead of proving.
        reason: String,
    },
    /// Any other failure that the Master reports.
    #[error("the Master at {url} answers {status} to /{route}{}", said(body))]
    Server {
        /// The Master's URL.
        url: String,
        /// The path that was asked, without its first slash.
        route: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of its body.
        body: String,
    },
    /// The answer is not SLAP.
    #[error(
        "the Master at {url} gives an answer that is not understood: {reason}; is it a SlapOS \
         Master?"
    )]
    Protocol {
        /// The Master's URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What we are to show of ourselves, or to know the Master by, is not what it should be.
    #[error("{what} cannot be used: {reason}")]
    Identity {
        /// Which file, in the words of the configuration.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What stands there for a name cannot be a part of an address.
    #[error("{0:?} cannot be the name of anything that a Master knows: correct it")]
    Unnameable(String),
    /// What we wanted to send cannot be sent.
    #[error("this cannot be sent to the Master: {0}")]
    Unsendable(#[from] MarshalError),
}

impl SlapError {
    /// Whether waiting and asking again can help.
    pub fn is_temporary(&self) -> bool {
        match self {
            SlapError::Unreachable { .. } => true,
            SlapError::Server { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }

    /// The error for an HTTP status of 400 or more other than 408.
    pub(crate) fn from_status(url: &str, route: &str, status: u16, body: &str) -> SlapError {
        let (url, route) = (url.to_owned(), route.to_owned());
        let is_page = body.trim_start().starts_with('<');
        let message = match is_page && route.starts_with(OWN) {
            true => "it is another kind of Master, which does not have what this needs".to_owned(),
            false if is_page => shorten(&page_text(body)),
            false => shorten(body),
        };
        match status {
            401 | 403 => {
                let advice = "show it who we are".to_owned();
                SlapError::Unauthorised { url, route, status, message, advice }
            }
            404 => SlapError::NotFound { url, route, message },
            _ => SlapError::Server { url, route, status, body: message },
        }
    }

    /// The same, with what helps where the Master does not accept who we are.
    pub(crate) fn advised(mut self, with: &str) -> SlapError {
        if let SlapError::Unauthorised { advice, .. } = &mut self {
            with.clone_into(advice);
        }
        self
    }
}

/// Where the interface begins that only our Master has.
const OWN: &str = "api/v1/";

/// How a message goes on after the status, for an answer of that body.
fn said(body: &str) -> String {
    match body {
        "" => " without saying why".to_owned(),
        body => format!(": {body}"),
    }
}

/// What an HTML page says, in one line: its paragraphs where it has some, or else all of its body.
fn page_text(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let after = |mark: &str| lower.find(mark).map(|at| at + mark.len());
    let start = after("<p>").or_else(|| after("</title>")).unwrap_or_default();
    let mut text = String::new();
    for (number, piece) in page[start..].split('<').enumerate() {
        let words = match number {
            0 => piece,
            _ => piece.split_once('>').map_or("", |(_tag, words)| words),
        };
        text.push(' ');
        text.push_str(words);
    }
    for (entity, sign) in ENTITIES {
        text = text.replace(entity, sign);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How pages write the signs that mean something to them. The last is what the others begin with.
const ENTITIES: [(&str, &str); 7] = [
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&#39;", "'"),
    ("&nbsp;", " "),
    ("&amp;", "&"),
];

/// The first [`SHOWN`] characters of a text, without its surrounding space.
fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_to_do() {
        let error = SlapError::Unreachable {
            url: "http://127.0.0.1:5000/".to_owned(),
            reason: "connection refused".to_owned(),
        };
        insta::assert_snapshot!(error, @"the Master at http://127.0.0.1:5000/ does not answer: connection refused; if it is the embedded one, start it with `slapos proxy start`, otherwise check `master_url` in the configuration");
        insta::assert_snapshot!(SlapError::from_status("http://m/", "x", 401, "no token\n"), @"the Master at http://m/ refuses us: it answers 401 to /x: no token; show it who we are");
    }

    #[test]
    fn an_empty_answer_still_says_where_it_came_from() {
        let of = |status, body| SlapError::from_status("http://m/", "getRunId", status, body);
        insta::assert_snapshot!(of(500, " \n"), @"the Master at http://m/ answers 500 to /getRunId without saying why");
        insta::assert_snapshot!(of(409, "no"), @"the Master at http://m/ answers 409 to /getRunId: no");
        insta::assert_snapshot!(of(404, ""), @"the Master at http://m/ answers 404 to /getRunId without saying why");
        insta::assert_snapshot!(of(403, ""), @"the Master at http://m/ refuses us: it answers 403 to /getRunId without saying why; show it who we are");
    }

    #[test]
    fn a_page_of_another_master_is_not_shown() {
        let of = |route| SlapError::from_status("http://m/", route, 404, "<!doctype html> <html>");
        insta::assert_snapshot!(of("api/v1/instances"), @"the Master at http://m/ answers 404 to /api/v1/instances: it is another kind of Master, which does not have what this needs");
        insta::assert_snapshot!(of("x"), @"the Master at http://m/ answers 404 to /x without saying why");
    }

    #[test]
    fn of_a_page_its_words_are_shown() {
        let of = |page| SlapError::from_status("http://m/", "x", 404, page).to_string();
        let flask = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n\
            <h1>Not Found</h1>\n<p>No place for: &#39;a&amp;lt;&#39;\n</p>\n";
        insta::assert_snapshot!(of(flask), @"the Master at http://m/ answers 404 to /x: No place for: 'a&lt;'");
        let front = "<html><head><title>404</title></head><BODY><h1>Not Found</h1><hr>front</BODY>";
        insta::assert_snapshot!(of(front), @"the Master at http://m/ answers 404 to /x: Not Found front");
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let error = SlapError::from_status("http://m/", "x", 500, &"é".repeat(900));
        let SlapError::Server { body, .. } = error else { panic!("wrong kind") };
        assert_eq!(body.chars().count(), SHOWN + 1);
    }
}
