//! Which calls are traced: the samplers of the OpenTelemetry SDK specification, as a function of identifiers.
//!
//! A decision depends on nothing but the trace's identifier and what the caller decided. It is made where a call begins and goes
//! along with it as the flag of its trace: to its upstreams, and to where it is settled.

use std::num::NonZeroU128;

/// Decides whether a call is recorded.
///
/// ```
/// use std::num::NonZeroU128;
///
/// use gateway_traces::Sampler;
///
/// assert!(Sampler::default().samples(NonZeroU128::MIN, None));
/// assert!(!Sampler::default().samples(NonZeroU128::MIN, Some(false)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether a trace that a caller began is decided by the caller.
    heeds_parent: bool,
    root: Root,
}

/// How a trace is decided on that nobody has decided on yet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Root {
    Always,
    Never,
    /// A trace is recorded if the number that its identifier ends with is below this, out of [`NUMBERS`].
    Below(u64),
}

/// How many numbers the low half of an identifier stands for once its lowest bit is left out, which is what the SDKs for Go, Java and
/// Rust compare. Services with the same ratio so record the same traces.
const NUMBERS: u64 = 1 << 63;

/// `parentbased_always_on`, the default of the specification.
impl Default for Sampler {
    fn default() -> Self {
        Self { heeds_parent: true, root: Root::Always }
    }
}

impl Sampler {
    /// Every name that `OTEL_TRACES_SAMPLER` may have here.
    pub(crate) const NAMES: &str = "parentbased_always_on, parentbased_always_off, parentbased_traceidratio, always_on, \
                                    always_off or traceidratio";

    /// The sampler of a name, where `ratio` from 0 to 1 is for those that take one; `None` if there is none of that name.
    pub(crate) fn named(name: &str, ratio: f64) -> Option<Self> {
        let (heeds_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::Always,
            "always_off" => Root::Never,
            "traceidratio" => Root::below(ratio),
            _ => return None,
        };
        Some(Self { heeds_parent, root })
    }

    /// Whether to record a call of this trace. `parent` says what the caller decided on it, if there was a caller who traces.
    pub fn samples(self, trace: NonZeroU128, parent: Option<bool>) -> bool {
        match (parent, self.root) {
            (Some(is_sampled), _) if self.heeds_parent => is_sampled,
            (_, Root::Always) => true,
            (_, Root::Never) => false,
            (_, Root::Below(bound)) => low_number(trace) < bound,
        }
    }
}

impl Root {
    fn below(ratio: f64) -> Self {
        if ratio >= 1.0 {
            return Self::Always;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the ratio is below 1, and a bound that is off by 2^10 in 2^63 is no other bound"
        )]
        Self::Below((ratio.max(0.0) * NUMBERS as f64) as u64)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
fn low_number(trace: NonZeroU128) -> u64 {
    (trace.get() as u64) >> 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace(id: u128) -> NonZeroU128 {
        NonZeroU128::new(id).unwrap()
    }

    #[test]
    fn who_decides() {
        // The columns: no caller who traces, one who does not record, one who does.
        for (name, expected) in [
            ("always_on", [true, true, true]),
            ("always_off", [false, false, false]),
            ("parentbased_always_on", [true, false, true]),
            ("parentbased_always_off", [false, false, true]),
        ] {
            let sampler = Sampler::named(name, 1.0).unwrap();
            let decided = [None, Some(false), Some(true)].map(|parent| sampler.samples(trace(7), parent));
            assert_eq!(decided, expected, "{name}");
        }
        for name in ["", "parentbased_", "jaeger_remote", "parentbased_jaeger_remote", "xray", "ALWAYS_ON"] {
            assert_eq!(Sampler::named(name, 1.0), None, "{name}");
        }
    }

    #[test]
    fn a_ratio_is_of_the_low_half_of_the_identifier() {
        let half = Sampler::named("traceidratio", 0.5).unwrap();
        let high = 0xffff_ffff_ffff_ffff_u128 << 64;
        assert!(half.samples(trace(high | 0x7fff_ffff_ffff_ffff), None));
        assert!(!half.samples(trace(0x8000_0000_0000_0000), None));
        assert!(!half.samples(trace(0x8000_0000_0000_0000), Some(true)), "it asks nobody");
        let (all, none) = (Sampler::named("traceidratio", 1.0).unwrap(), Sampler::named("traceidratio", 0.0).unwrap());
        assert!(all.samples(trace(u128::MAX), None) && !none.samples(trace(high), None));
    }

    proptest! {
        #[test]
        fn a_larger_ratio_records_what_a_smaller_does(id in 1_u128.., low in 0.0..=1.0_f64, more in 0.0..=1.0_f64) {
            let of = |ratio| Sampler::named("parentbased_traceidratio", ratio).unwrap();
            let (smaller, larger) = (of(low), of((low + more).min(1.0)));
            prop_assert!(larger.samples(trace(id), None) || !smaller.samples(trace(id), None));
            prop_assert!(smaller.samples(trace(id), Some(true)));
        }

        #[test]
        fn a_decision_made_again_is_the_same(id in 1_u128.., parent: Option<bool>, ratio in 0.0..=1.0_f64, name in 0_usize..6) {
            let names = ["always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
                "parentbased_traceidratio"];
            let sampler = Sampler::named(names[name], ratio).unwrap();
            let first = sampler.samples(trace(id), parent);
            prop_assert_eq!(sampler.samples(trace(id), parent.map(|_| first)), first);
        }
    }
}
