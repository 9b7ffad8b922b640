//! The place of a call in the trace that its caller began, or in one of its own.

use std::num::{NonZeroU64, NonZeroU128};

use gateway_call::{CallTrace, TraceParent};
use http::{HeaderMap, HeaderName};

/// Where the place is told (W3C Trace Context, section 3.2).
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What those who recorded a trace before have to say to each other (section 3.3).
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Whether a trace is recorded that has this identifier, if its caller says that it is or is not, or says nothing.
pub(crate) type Sampling = dyn Fn(NonZeroU128, Option<bool>) -> bool + Send + Sync;

/// Continues the caller's trace, or begins one. What is said of a trace that is not continued is taken out of the headers (section
/// 3.4).
pub(crate) fn continue_trace(headers: &mut HeaderMap, samples: &Sampling) -> CallTrace {
    let mut values = headers.get_all(TRACEPARENT).iter();
    // Of several nobody can tell which is meant.
    let only = values.next().filter(|_| values.next().is_none());
    let caller = only.and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
    if caller.is_none() {
        headers.remove(TRACESTATE);
    }
    let trace = caller.map_or_else(random_trace, |caller| caller.trace);
    let is_sampled = samples(trace, caller.map(TraceParent::is_sampled));
    CallTrace { own: TraceParent::new(trace, random_span(), is_sampled), parent: caller.map(|caller| caller.span) }
}

/// The identifier of a new span.
pub(crate) fn random_span() -> NonZeroU64 {
    NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MIN)
}

fn random_trace() -> NonZeroU128 {
    NonZeroU128::new(fastrand::u128(1..)).unwrap_or(NonZeroU128::MIN)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const CALLERS: HeaderValue = HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");

    #[test]
    fn a_trace_is_continued_and_none_is_begun() {
        let as_the_caller = |_, caller: Option<bool>| caller.unwrap_or(true);
        let continue_trace = |headers: &mut HeaderMap| continue_trace(headers, &as_the_caller);
        let mut headers = HeaderMap::new();
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        let begun = continue_trace(&mut headers);
        assert!(begun.own.is_sampled() && begun.parent.is_none() && headers.is_empty());
        headers.insert(TRACEPARENT, CALLERS);
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        let continued = continue_trace(&mut headers);
        assert!(headers.contains_key(TRACESTATE));
        assert_eq!(continued.parent, NonZeroU64::new(0x00f0_67aa_0ba9_02b7));
        assert_eq!(continued.own.trace.get(), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert!(!continued.own.is_sampled(), "whoever began it does not record it");
        headers.append(TRACEPARENT, CALLERS);
        assert_eq!(continue_trace(&mut headers).parent, None);
        assert!(!headers.contains_key(TRACESTATE), "that of a trace that is left is nobody's");
    }
}
