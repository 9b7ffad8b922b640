//! "Did you mean": the nearest of a few names.

/// A clause to append to an error, empty if nothing is near enough to be a typing mistake.
pub(crate) fn did_you_mean<'n>(found: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(found, names).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The name with the fewest edits, if a third of its letters or less are wrong; of several the first.
pub fn nearest<'n>(found: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let found = found.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&found, &name.to_lowercase());
    let (name, distance) =
        names.into_iter().map(|name| (name, distance(name))).min_by_key(|(_, distance)| *distance)?;
    (distance <= name.chars().count().div_ceil(3)).then_some(name)
}
