//! What is asked of usage.

use std::ops::Range;
use std::str::FromStr;

use gateway_keystore::{UsageGrouping, UsageSlot, UsageSpan};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Fault, Invalid};

/// How much is told of where nothing is said.
const USUAL: SignedDuration = SignedDuration::from_hours(24);
/// What is told apart where nothing is said.
const USUAL_DIMENSIONS: [UsageDimension; 3] = [UsageDimension::Key, UsageDimension::Model, UsageDimension::Provider];

/// What is asked of usage, as people write it.
///
/// Times are RFC 3339 or dates; a date is the whole of its day in UTC, at either end. Only whole hours are kept, so `from` counts
/// from the beginning of its hour, and `to` to the end of its.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageRequest {
    /// When it begins; 24 hours before the end if not said.
    pub from: Option<String>,
    /// When it ends; now if not said.
    pub to: Option<String>,
    /// What is told apart, with commas between: `key,model,provider` if not said, nothing if empty.
    pub group_by: Option<String>,
}

/// Something that is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageDimension {
    /// The caller's key.
    Key,
    /// The model.
    Model,
    /// The provider.
    Provider,
    /// The hour, in UTC.
    Hour,
    /// The day, in UTC.
    Day,
}

/// The same, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) group_by: Vec<UsageDimension>,
}

impl UsageRequest {
    pub(super) fn read(&self, now: Timestamp) -> Result<Asked, Invalid> {
        let to = self.to.as_deref().map_or(Ok(now), |text| moment("to", text, Date::tomorrow))?;
        let from = match self.from.as_deref() {
            Some(text) => moment("from", text, Ok)?,
            None => to.checked_sub(USUAL).unwrap_or(Timestamp::MIN),
        };
        if from >= to {
            return Err(Invalid::value("from", "has to be before `to`"));
        }
        let group_by = self.group_by.as_deref().map_or_else(|| Ok(USUAL_DIMENSIONS.to_vec()), dimensions)?;
        Ok(Asked { from: UsageSlot::hour_of(from), to: ceiling(to), group_by })
    }
}

impl Asked {
    pub(super) fn hours(&self) -> Range<Timestamp> {
        self.from..self.to
    }

    pub(super) fn grouping(&self) -> UsageGrouping {
        let has = |dimension| self.group_by.contains(&dimension);
        let day = has(UsageDimension::Day).then_some(UsageSpan::Day);
        UsageGrouping {
            span: if has(UsageDimension::Hour) { Some(UsageSpan::Hour) } else { day },
            key: has(UsageDimension::Key),
            model: has(UsageDimension::Model),
            provider: has(UsageDimension::Provider),
        }
    }
}

impl FromStr for UsageDimension {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Ok(match text {
            "key" => Self::Key,
            "model" => Self::Model,
            "provider" => Self::Provider,
            "hour" => Self::Hour,
            "day" => Self::Day,
            _ => {
                let problem = "expected some of `key`, `model`, `provider`, `hour` and `day`, with commas between them";
                return Err(Invalid::value("group_by", problem));
            }
        })
    }
}

fn dimensions(text: &str) -> Result<Vec<UsageDimension>, Invalid> {
    let mut found = Vec::new();
    for name in text.split(',').filter(|_| !text.is_empty()) {
        let dimension = name.trim().parse()?;
        if found.contains(&dimension) {
            let problem = format!("names `{}` twice; name it once", name.trim());
            return Err(Invalid::new(Fault::InvalidValue, Some("group_by".to_owned()), problem));
        }
        found.push(dimension);
    }
    Ok(found)
}

/// A moment, or that at which the day begins which `day` makes of a date.
fn moment(param: &str, text: &str, day: impl Fn(Date) -> Result<Date, jiff::Error>) -> Result<Timestamp, Invalid> {
    // What is longer is no date by itself, though jiff would take the date from it.
    let date = if text.len() == "2030-01-31".len() { text.parse::<Date>().and_then(day).ok() } else { None };
    let begins = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok()).map(|begins| begins.timestamp());
    begins.or_else(|| text.parse().ok()).ok_or_else(|| {
        Invalid::value(
            param,
            "expected a time in RFC 3339, such as 2030-01-31T12:00:00Z, or a date, such as 2030-01-31",
        )
    })
}

/// The first beginning of an hour that is not before a moment.
fn ceiling(at: Timestamp) -> Timestamp {
    let begins = UsageSlot::hour_of(at);
    if begins == at { at } else { begins.checked_add(SignedDuration::from_hours(1)).unwrap_or(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, to: &str, group_by: &str) -> Result<Asked, Invalid> {
        let some = |text: &str| (text != "-").then(|| text.to_owned());
        let request = UsageRequest { from: some(from), to: some(to), group_by: some(group_by) };
        request.read("2026-11-22T14:15:16.5Z".parse().unwrap())
    }

    #[test]
    fn whole_hours_are_told_of() {
        for (from, to, expected) in [
            ("-", "-", ["2026-11-21T14:00:00Z", "2026-11-22T15:00:00Z"]),
            ("2026-11-01", "2026-11-01", ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]),
            ("2026-12-31", "2026-12-31", ["2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"]),
            ("-", "2026-11-01T12:00:00Z", ["2026-10-31T12:00:00Z", "2026-11-01T12:00:00Z"]),
            ("2026-11-01T12:00:01+01:00", "2026-11-01T12:00:00.1Z", ["2026-11-01T11:00:00Z", "2026-11-01T13:00:00Z"]),
            ("2026-11-22T14:15:15Z", "-", ["2026-11-22T14:00:00Z", "2026-11-22T15:00:00Z"]),
        ] {
            let asked = read(from, to, "-").unwrap();
            assert_eq!([asked.from, asked.to].map(|at| at.to_string()), expected, "{from} {to}");
        }
        // Neither the hour of the first moment begins, nor that of the last ends, within what can be told.
        let asked = read(&Timestamp::MIN.to_string(), &Timestamp::MAX.to_string(), "-").unwrap();
        assert_eq!((asked.from, asked.to), (Timestamp::MIN, Timestamp::MAX));
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        for (from, to, group_by, param) in [
            ("yesterday", "-", "-", "from"),
            ("", "-", "-", "from"),
            ("2026-11-31", "-", "-", "from"),
            ("2026-11-22T10:00:00", "-", "-", "from"),
            ("2026-11-23", "-", "-", "from"),
            ("2026-11-02", "2026-11-01", "-", "from"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z", "-", "from"),
            ("-", "1700000000", "-", "to"),
            ("-", "9999-12-31", "-", "to"),
            ("-", "-", "keys", "group_by"),
            ("-", "-", "key,", "group_by"),
            ("-", "-", "key,model,key", "group_by"),
        ] {
            let refused = read(from, to, group_by).unwrap_err();
            assert_eq!(refused.param(), Some(param), "{from} {to} {group_by}: {refused}");
        }
    }

    #[test]
    fn any_of_them_is_told_apart() {
        use UsageDimension::{Day, Hour, Key, Model, Provider};
        let grouping = |group_by| read("-", "-", group_by).map(|asked| (asked.grouping(), asked.group_by)).unwrap();
        let by = |span, key, model, provider| UsageGrouping { span, key, model, provider };
        assert_eq!(grouping("-"), (by(None, true, true, true), vec![Key, Model, Provider]));
        assert_eq!(grouping(""), (by(None, false, false, false), vec![]));
        assert_eq!(grouping("model"), (by(None, false, true, false), vec![Model]));
        assert_eq!(grouping("day, key"), (by(Some(UsageSpan::Day), true, false, false), vec![Day, Key]));
        assert_eq!(grouping("day,hour"), (by(Some(UsageSpan::Hour), false, false, false), vec![Day, Hour]));
    }
}
