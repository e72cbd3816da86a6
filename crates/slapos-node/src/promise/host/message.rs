//! What the host says: fields of text with a zero byte between them.

use super::super::Kind;
use super::super::one::{Outcome, Traits};

/// A packet, without the number of whom it is for.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// It has imported what it could and takes orders.
    Ready,
    /// This process runs the promise.
    Started(u32),
    /// The promise is made; what it says of itself.
    Loaded(Traits),
    /// There could be no process for it: why.
    Unborn(String),
    /// What came out.
    Result(Outcome),
    /// The promise could not be made or run: the traceback.
    Raised(String),
    /// The process is gone.
    Ended,
}

/// The number and the meaning of a packet; none if it is nonsense.
pub(super) fn read(packet: &str) -> Option<(u64, Said)> {
    if packet.starts_with("ready\0") {
        return Some((super::NOBODY, Said::Ready));
    }
    let (what, rest) = packet.split_once('\0')?;
    let (number, rest) = rest.split_once('\0').unwrap_or((rest, ""));
    let said = match what {
        "started" => Said::Started(rest.parse().ok()?),
        "loaded" => Said::Loaded(traits(rest)?),
        "unborn" => Said::Unborn(rest.to_owned()),
        "empty" => Said::Result(Outcome::Empty),
        "result" => Said::Result(result(rest)?),
        "raised" => Said::Raised(rest.to_owned()),
        "ended" => Said::Ended,
        _ => return None,
    };
    Some((number.parse().ok()?, said))
}

fn traits(fields: &str) -> Option<Traits> {
    let mut fields = fields.split('\0');
    let tested = fields.next()? == "1";
    let anomaly_detected = fields.next()? == "1";
    let periodicity = serde_json::from_str(fields.next()?).ok()?;
    let code = fields.next()?.into();
    let changed = fields.next()?.parse().ok()?;
    Some(Traits { tested, anomaly_detected, periodicity, code, changed })
}

fn result(fields: &str) -> Option<Outcome> {
    let mut fields = fields.splitn(5, '\0');
    let kind = if fields.next()? == "Anomaly Result" { Kind::Anomaly } else { Kind::Test };
    let failed = fields.next()? == "1";
    let bang = fields.next()? == "1";
    let date = fields.next()?.strip_suffix("+0000").map(|date| format!("{date}Z"));
    let date = date.and_then(|date| date.parse().ok());
    Some(Outcome::Said { kind, failed, bang, date, message: fields.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_understood_or_not() {
        assert_eq!(read("started\x003\x00712"), Some((3, Said::Started(712))));
        assert_eq!(read("ended\x003\x000"), Some((3, Said::Ended)));
        assert_eq!(read("unborn\x003\0no"), Some((3, Said::Unborn("no".into()))));
        assert_eq!(read("empty\x003"), Some((3, Said::Result(Outcome::Empty))));
        let said = read("result\x003\0Anomaly Result\x001\x001\x002026-01-01T10:00:00+0000\0a\0b");
        let Some((3, Said::Result(Outcome::Said { kind, failed, bang, date, message }))) = said
        else {
            panic!("{said:?}");
        };
        assert_eq!((kind, failed, bang, message.as_str()), (Kind::Anomaly, true, true, "a\0b"));
        assert_eq!(date.unwrap().to_string(), "2026-01-01T10:00:00Z");
        let said = read("loaded\x003\x001\x000\x002.5\0/p/a.py\x001795374245.5");
        let Some((3, Said::Loaded(traits))) = said else { panic!("{said:?}") };
        assert!(traits.tested && !traits.anomaly_detected);
        assert_eq!(traits.periodicity.as_f64(), Some(2.5));
        for nonsense in ["", "x", "started\x003\0x", "loaded\x003\x001", "result\0x\0Test Result"] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }
}
