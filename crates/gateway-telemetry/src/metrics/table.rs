//! The series of a family, by the values of their labels.
//!
//! Nothing here is on the path of a call: whoever counts keeps the handle that it got.

use std::fmt;
use std::sync::OnceLock;

use papaya::HashMap;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use rustc_hash::FxBuildHasher;

use super::name::Value;

/// The series of one family. `S` is a handle: all its clones count the same.
pub(super) struct Table<const N: usize, S> {
    labels: [&'static str; N],
    new: fn() -> S,
    /// Made with the first series: an empty map takes 16 kB, and most deployments never see some of the families.
    series: OnceLock<HashMap<[Value; N], S, FxBuildHasher>>,
}

/// The labels of one series.
pub(super) struct LabelSet<const N: usize> {
    names: [&'static str; N],
    values: [Value; N],
}

impl<const N: usize, S: Clone> Table<N, S> {
    /// A table whose series have these labels, and are made by `new`.
    pub(super) fn new(labels: [&'static str; N], new: fn() -> S) -> Self {
        Self { labels, new, series: OnceLock::new() }
    }

    /// The one series of these values, which begins here if there is none.
    pub(super) fn series(&self, values: [Value; N]) -> S {
        let series = self.series.get_or_init(|| HashMap::with_hasher(FxBuildHasher));
        series.pin().get_or_insert_with(values, self.new).clone()
    }

    /// Every series whose names are still there, sorted. The others are forgotten.
    pub(super) fn rows(&self) -> impl Iterator<Item = (LabelSet<N>, S)> {
        let mut rows = Vec::new();
        if let Some(series) = self.series.get() {
            let series = series.pin();
            rows.extend(series.iter().map(|(values, series)| (values.clone(), series.clone())));
            // Whoever takes a name that another has had takes it after that one was gone. So if both have been seen, the first is gone
            // by now, and no two rows have the same labels.
            rows.retain(|(values, _)| !is_gone(values));
            series.retain(|values, _| !is_gone(values));
        }
        rows.sort_by(|(one, _), (other, _)| {
            let orders = one.iter().zip(other).map(|(one, other)| one.order(other));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        });
        rows.into_iter().map(|(values, series)| (LabelSet { names: self.labels, values }, series))
    }
}

/// Whether one of the values was a name that is gone.
pub(super) fn is_gone(values: &[Value]) -> bool {
    values.iter().any(Value::is_gone)
}

impl<const N: usize> EncodeLabelSet for LabelSet<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.names
            .iter()
            .zip(&self.values)
            .try_for_each(|(name, value)| (*name, value.clone()).encode(encoder.encode_label()))
    }
}
