//! "Did you mean": the known name nearest to one that is not known.

/// Longer words are not compared, which takes the square of their length, bytes.
const LONGEST: usize = 100;

/// The candidate most like `word`, if one is near enough to be a slip of the fingers: at most one
/// edit in three letters, not counting case. Of equally near ones, the alphabetically first.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let allowed = (word.chars().count() / 3).min(4);
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word && candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            Some((distance(&lower, &candidate.to_lowercase(), allowed)?, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", if there is something to propose.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(word, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// Edits (insertion, deletion, change, swap of neighbours) from `a` to `b`; `None` above `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(previous[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous.last().copied().filter(|edits| *edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["openssl", "openssh", "zlib", "python3"];
        assert_eq!(closest("opnessl", known), Some("openssl"));
        assert_eq!(closest("zlb", known), Some("zlib"));
        assert_eq!(closest("python", known), Some("python3"));
        assert_eq!(closest("nginx", known), None);
        assert_eq!(closest("", known), None);
        assert_eq!(closest("x", ["y", "z"]), None);
        assert_eq!(closest("A", ["a", "b"]), Some("a"));
        assert_eq!(closest("opensst", known), Some("openssh"));
    }

    #[test]
    fn monsters_are_not_compared() {
        let (a, b) = ("a".repeat(1 << 20), "a".repeat((1 << 20) - 1));
        assert_eq!(closest(&a, [&*b]), None);
        assert_eq!(closest("aaaaaaa", [&*b, "aaaaaab"]), Some("aaaaaab"));
    }
}
