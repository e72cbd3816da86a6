//! Laws of the language, checked on random texts.
