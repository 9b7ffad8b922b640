//! Where a call stands in a distributed trace (W3C Trace Context, Level 1).

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// A position in a trace: what the header `traceparent` says.
///
/// ```
/// use gateway_call::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let parent = TraceParent::parse(text).ok_or("not a traceparent")?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: NonZeroU128,
    /// The span that whatever comes next is a child of.
    pub span: NonZeroU64,
    /// Bits of which one is known: whether the trace is recorded.
    pub flags: u8,
}

/// The place of one call in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTrace {
    /// The span of the call itself, which its attempts are children of.
    pub own: TraceParent,
    /// The caller's span, if it said one.
    pub parent: Option<NonZeroU64>,
}

/// The one flag of the specification that is in use.
const SAMPLED: u8 = 1;

impl TraceParent {
    /// The longest header of the one version that is known, in bytes.
    const LEN: usize = 55;

    /// Reads the value of `traceparent`; `None` if it is none, which is then to be treated as if it were not there.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..Self::LEN)?);
        let mut fields = rest.strip_prefix('-')?.split('-');
        let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let is_known = version == "00" && text.len() == Self::LEN;
        // Of a later version these fields are read, and others may follow (section 4.3 of the specification).
        let is_later = hex(version, 2)? > 0 && version != "ff" && text.get(Self::LEN..).is_some_and(is_end_or_more);
        if !(is_known || is_later) || fields.next().is_some() {
            return None;
        }
        Some(Self {
            trace: NonZeroU128::new(hex(trace, 32)?)?,
            span: NonZeroU64::new(u64::try_from(hex(span, 16)?).ok()?)?,
            flags: u8::try_from(hex(flags, 2)?).ok()?,
        })
    }

    /// Whether whoever began the trace records it.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same trace at another span. Only flags that are known are handed on.
    #[must_use]
    pub const fn at(self, span: NonZeroU64) -> Self {
        Self { span, flags: self.flags & SAMPLED, ..self }
    }

    /// A span of a trace that is recorded, or is not.
    pub const fn new(trace: NonZeroU128, span: NonZeroU64, is_sampled: bool) -> Self {
        Self { trace, span, flags: if is_sampled { SAMPLED } else { 0 } }
    }
}

fn is_end_or_more(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('-')
}

/// A number of so many lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != digits || !text.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_none_is_not_read() {
        assert!(TraceParent::parse(GOOD).is_some());
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-0f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-what-comes", &GOOD[2..]);
        assert_eq!(TraceParent::parse(&later).map(|it| it.to_string()).as_deref(), Some(GOOD));
    }

    #[test]
    fn unknown_flags_are_not_handed_on() {
        let parent = TraceParent::parse(&GOOD.replace("-01", "-ff")).unwrap();
        assert_eq!(parent.at(parent.span).flags, 1);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., flags: u8) {
            let parent = TraceParent { trace: NonZeroU128::new(trace).unwrap(), span: NonZeroU64::new(span).unwrap(), flags };
            prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}") {
            let _ = TraceParent::parse(&text);
        }
    }
}
