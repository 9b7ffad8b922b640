//! Calls that share a key go to the same target, so that its prompt cache serves them.
//!
//! Rendezvous hashing: each target runs a race for the key, decided by a hash of both, and the first to arrive gets it.
//! There is no ring to build or to keep, and a target that leaves takes only its own keys with it. The time of a target of
//! weight `w` is drawn from the exponential distribution of rate `w`, whose minimum falls to each in proportion to its
//! weight: the lowest `-ln(h) / w` is the highest `-w / ln(h)` of Schindelhauer and Schomaker, "Weighted Distributed Hash
//! Tables" (2005).
//!
//! One key may be most of the traffic, so a target takes part only while it has less than its bounded share of the calls
//! in flight: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016). A call that its target
//! has no room for goes to the second in its race, which is the same one each time.

use crate::identity::mix;

/// How much of its fair share of the calls in flight a target may have, as a fraction: 1.25 times. More keeps calls
/// together, less spreads them; HAProxy calls 1.25 to 2 reasonable (`hash-balance-factor`).
const BOUND: (u128, u128) = (5, 4);

/// How many calls in flight a target may have whatever its share. Where there are few calls the bound would part two of
/// one conversation as soon as they run beside each other, and there is nothing to protect anybody from.
const ALWAYS_ROOM: u32 = 4;

/// The bits of a hash that become a fraction: as many as a double's mantissa stores.
const FRACTION_BITS: u32 = 52;

/// A target that may get the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender {
    /// Which one it is.
    pub(crate) index: usize,
    /// [`Target::identity`](crate::Target::identity).
    pub(crate) identity: u64,
    /// At least 1.
    pub(crate) share: u64,
    /// The calls that it is serving now.
    pub(crate) in_flight: u32,
}

/// The index of the contender whom `key` belongs to, among those with room for another call.
///
/// None only if there are no contenders: not all can be over a bound that is above their average.
pub(crate) fn winner(key: u64, contenders: impl Iterator<Item = Contender> + Clone) -> Option<usize> {
    let sum = |of: fn(Contender) -> u64| contenders.clone().map(|it| u128::from(of(it))).sum::<u128>();
    let calls = sum(|contender| u64::from(contender.in_flight)) + 1;
    let shares = sum(|contender| contender.share);
    let key = mix(key);
    let races = contenders
        .filter(|it| it.in_flight < ALWAYS_ROOM || has_room(*it, calls, shares))
        .map(|it| (arrival(key, it), it.index));
    // The index settles what the hash cannot: one target that is listed twice.
    races.min_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1))).map(|(_, index)| index)
}

/// Whether one more call stays within `ceil(bound * calls * share / shares)`.
///
/// For whole numbers `n + 1 <= ceil(a / b)` is `n * b < a`; all fits, at `64 * 2^32` calls and shares and `2^32` each.
fn has_room(contender: Contender, calls: u128, shares: u128) -> bool {
    let (numerator, denominator) = BOUND;
    u128::from(contender.in_flight) * denominator * shares < numerator * calls * u128::from(contender.share)
}

/// When the contender arrives in the race for a key; always a positive number.
///
/// `ln` may differ in its last bit between platforms. That would matter for one key in some 2^50.
#[expect(clippy::cast_precision_loss, reason = "52 bits and a share of 32 bits fit a double")]
fn arrival(mixed_key: u64, contender: Contender) -> f64 {
    let hash = mix(mixed_key ^ contender.identity);
    // In the middle of its interval, so neither 0 nor 1, of which `ln` makes something useless.
    let fraction = ((hash >> (u64::BITS - FRACTION_BITS)) as f64 + 0.5) / (1_u64 << FRACTION_BITS) as f64;
    -fraction.ln() / contender.share as f64
}

#[cfg(test)]
mod tests;
