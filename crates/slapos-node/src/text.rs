//! Text of others, of which only so much is kept.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Keeps the first `most` characters of `text`; whether that left any out.
pub(crate) fn cut(text: &mut String, most: usize) -> bool {
    let end = text.char_indices().nth(most).map(|(end, _)| end);
    if let Some(end) = end {
        text.truncate(end);
    }
    end.is_some()
}

/// The last `most` characters of `text`.
pub(crate) fn last(text: &str, most: usize) -> &str {
    let start = most.checked_sub(1).and_then(|back| text.char_indices().nth_back(back));
    match (most, start) {
        (0, _) => "",
        (_, Some((start, _))) => text.get(start..).unwrap_or(text),
        (_, None) => text,
    }
}

/// The last of what somebody says. All is taken, so that who says it is not kept waiting.
pub(crate) struct LastWords {
    kept: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
}

impl LastWords {
    /// Listens in a thread of its own, and keeps the last `most` bytes.
    pub(crate) fn listen(source: impl Read + Send + 'static, most: usize) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let words = Arc::clone(&kept);
        let listener = std::thread::spawn(move || listen(source, most, &words));
        Self { kept, listener }
    }

    /// What was said until nobody says anything any more, which is waited for no longer than `limit`.
    pub(crate) fn within(&self, limit: Duration) -> String {
        const POLL: Duration = Duration::from_millis(1);
        let end = Instant::now() + limit;
        while !self.listener.is_finished() && Instant::now() < end {
            std::thread::sleep(POLL);
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// What was said until nobody says anything any more, which is waited for.
    pub(crate) fn all(self) -> String {
        let Self { kept, listener } = self;
        let _ = listener.join();
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }
}

fn listen(mut source: impl Read, most: usize, words: &Mutex<Vec<u8>>) {
    let mut piece = [0; 4096];
    while let Ok(read) = source.read(&mut piece) {
        if read == 0 {
            return;
        }
        let mut kept = words.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&piece[..read]);
        let excess = kept.len().saturating_sub(most);
        kept.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_much_is_kept() {
        let kept = |most| {
            let mut text = "déjà".to_owned();
            let shorter = cut(&mut text, most);
            (text, shorter)
        };
        assert_eq!(kept(2), ("dé".to_owned(), true));
        assert_eq!(kept(4), ("déjà".to_owned(), false));
        assert_eq!(
            [0, 1, 3, 4, 5].map(|most| last("déjà", most)),
            ["", "à", "éjà", "déjà", "déjà"]
        );
    }

    #[test]
    fn the_last_of_what_is_said_is_kept() {
        let said = [b"x".repeat(10_000), b"the end".to_vec()].concat();
        let words = LastWords::listen(std::io::Cursor::new(said), 7);
        assert_eq!(words.all(), "the end");
    }
}
