//! The grammar of behaviours: `key=value` settings joined by `&`, in a model's name behind `?` or in the configuration.
//!
//! One grammar for both, so that what was tried by hand in a name can be pasted into a configuration.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

#[cfg(test)]
mod tests;

/// The most frames or words of one answer; one call must not fill the memory of the machine.
const MOST_PIECES: usize = 65_536;

/// How a simulated model behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// From the request's end to the answer's head.
    pub latency: Duration,
    /// Between two content frames of a stream.
    pub frame: Duration,
    /// Content frames of a stream; `None` is one a token.
    pub frames: Option<usize>,
    /// Generated words to answer with; `None` echoes.
    pub words: Option<usize>,
    /// The share of calls that fail, 0 to 1; `None` is none of them, or all if there is a status.
    pub fail: Option<f64>,
    /// The status of a failed call; `None` is 500.
    pub status: Option<u16>,
    /// The `code` of a failed call's error; `None` is OpenAI's usual one for the status.
    pub code: Option<String>,
    /// `Retry-After` of a failed call.
    pub retry_after: Option<Duration>,
    /// Where and how an answer breaks.
    pub fault: Option<Fault>,
    /// The name shown in the answer's `model`; `None` shows the name asked for.
    pub shown_as: Option<String>,
}

/// A point at which an answer breaks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub point: Point,
    /// How.
    pub kind: FaultKind,
}

/// How an answer breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The connection stays open and nothing more is sent.
    Stall,
    /// The connection is closed.
    Cut,
}

/// A point in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Before its first byte.
    BeforeHead,
    /// Behind its head, before the body.
    AfterHead,
    /// Behind the opening frame of a stream, which names the role.
    AfterRole,
    /// Behind the first frame with content.
    AfterContent,
    /// Within the first frame with content, in the middle of a character if it has one of several bytes.
    MidChar,
    /// Before `[DONE]`.
    BeforeDone,
}

/// A behaviour that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BehaviourError {
    /// There is no such setting.
    #[error(
        "unknown setting `{name}`; known are latency, frame, frames, words, fail, status, code, \
         retry_after, stall, cut and as"
    )]
    UnknownSetting {
        /// The name as written.
        name: String,
    },
    /// The value does not fit the setting.
    #[error("`{name}={value}` does not fit; expected {expected}")]
    InvalidValue {
        /// The setting.
        name: String,
        /// The value as written.
        value: String,
        /// What would fit.
        expected: &'static str,
    },
}

impl Default for Behaviour {
    /// A plain echo, at once.
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            frame: Duration::ZERO,
            frames: None,
            words: None,
            fail: None,
            status: None,
            code: None,
            retry_after: None,
            fault: None,
            shown_as: None,
        }
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(settings: &str) -> Result<Self, BehaviourError> {
        let mut behaviour = Self::default();
        behaviour.apply(settings)?;
        Ok(behaviour)
    }
}

impl Behaviour {
    /// The behaviour that a model name speaks of: by its words, then by its settings.
    pub fn of_model(name: &str) -> Result<Self, BehaviourError> {
        let mut behaviour = Self::default();
        behaviour.apply_name(name)?;
        Ok(behaviour)
    }

    /// Adds what a model name says to this behaviour.
    pub fn apply_name(&mut self, name: &str) -> Result<(), BehaviourError> {
        let (plain, settings) = name.split_once('?').unwrap_or((name, ""));
        if let Some(words) = plain.strip_prefix("sim-") {
            for preset in words.split('-').filter_map(preset) {
                self.apply(preset)?;
            }
        }
        self.apply(settings)
    }

    /// Adds settings to this behaviour; a later one wins.
    pub fn apply(&mut self, settings: &str) -> Result<(), BehaviourError> {
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            self.set(name, value)?;
        }
        Ok(())
    }

    /// The status to fail this call with, if it is to fail. `draw` is uniform in 0..1.
    pub fn failure(&self, draw: f64) -> Option<u16> {
        let share = self.fail.unwrap_or(if self.status.is_some() { 1.0 } else { 0.0 });
        (draw < share).then_some(self.status.unwrap_or(500))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), BehaviourError> {
        let invalid =
            |expected| BehaviourError::InvalidValue { name: name.to_owned(), value: value.to_owned(), expected };
        let duration = || parse_duration(value).ok_or_else(|| invalid("a duration such as 20ms, 500us or 2s"));
        let count = || parse_count(value).ok_or_else(|| invalid("a number from 1 to 65536"));
        let fault = |kind| {
            let point = Point::from_name(value).ok_or_else(|| {
                invalid("before_head, after_head, after_role, after_content, mid_char or before_done")
            })?;
            Ok(Some(Fault { point, kind }))
        };
        match name {
            "latency" => self.latency = duration()?,
            "frame" => self.frame = duration()?,
            "frames" => self.frames = Some(count()?),
            "words" => self.words = Some(count()?),
            "fail" => self.fail = Some(parse_ratio(value).ok_or_else(|| invalid("a number from 0 to 1"))?),
            "status" => self.status = Some(parse_status(value).ok_or_else(|| invalid("a status from 400 to 599"))?),
            "code" if !value.is_empty() => self.code = Some(value.to_owned()),
            "code" => return Err(invalid("the code of an error, such as context_length_exceeded")),
            "retry_after" => self.retry_after = Some(duration()?),
            "stall" => self.fault = fault(FaultKind::Stall)?,
            "cut" => self.fault = fault(FaultKind::Cut)?,
            "as" if !value.is_empty() => self.shown_as = Some(value.to_owned()),
            "as" => return Err(invalid("a model name")),
            _ => return Err(BehaviourError::UnknownSetting { name: name.to_owned() }),
        }
        Ok(())
    }
}

impl Point {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "before_head" => Self::BeforeHead,
            "after_head" => Self::AfterHead,
            "after_role" => Self::AfterRole,
            "after_content" => Self::AfterContent,
            "mid_char" => Self::MidChar,
            "before_done" => Self::BeforeDone,
            _ => return None,
        })
    }
}

/// What a word of a `sim-` name stands for.
fn preset(word: &str) -> Option<&'static str> {
    Some(match word {
        "slow" => "latency=200ms&frame=20ms&frames=64",
        "fail" => "status=500",
        "limited" => "status=429&retry_after=1s",
        "stall" => "stall=after_content",
        "cut" => "cut=after_content",
        _ => return None,
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let number: u32 = number.parse().ok()?;
    Some(match unit {
        "us" => Duration::from_micros(number.into()),
        "ms" => Duration::from_millis(number.into()),
        "s" => Duration::from_secs(number.into()),
        _ => return None,
    })
}

fn parse_count(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| (1..=MOST_PIECES).contains(count))
}

fn parse_ratio(text: &str) -> Option<f64> {
    text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}

fn parse_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..=599).contains(status))
}
