//! The file that is edited.

use std::fmt::Write as _;

use crate::edits::{Edit, Extent};

/// How many names each provider maps.
const MAPPINGS: u32 = 10;

/// A configuration with many providers, which all are the same upstream.
pub(crate) struct File {
    pub(crate) providers: u32,
    pub(crate) api_base: String,
}

impl File {
    /// The file after an edit, or before the first one.
    pub(crate) fn text(&self, edit: Option<&Edit>) -> String {
        let mut text = "auth: none\nstore: { url: none }\nproviders:\n".to_owned();
        for number in 0..self.providers {
            self.provider(&mut text, number, edit);
        }
        text.push_str("models:\n");
        for number in 0..self.providers {
            let next = (number + 1) % self.providers;
            let _ = write!(
                text,
                "  alias-{number}:\n    targets:\n      - provider: provider-{number}\n      - provider: provider-{next}\n    \
                 fallback_models: [alias-{next}, model-{number}-3]\n"
            );
        }
        text
    }

    fn provider(&self, text: &mut String, number: u32, edit: Option<&Edit>) {
        // Never the value that it had before.
        let weight = match edit {
            Some(Edit { extent: Extent::All, number }) => 100 + number,
            Some(Edit { extent: Extent::One, number: edit }) if number == 0 => 1 + edit,
            _ => 1,
        };
        let _ = write!(
            text,
            "  - name: provider-{number}\n    api_base: {}\n    api_key: sk-0123456789-{number}\n    weight: {weight}\n    \
             timeouts:\n      connect: 2s\n    model_mapping:\n",
            self.api_base
        );
        for index in 0..MAPPINGS {
            let _ = writeln!(text, "      model-{number}-{index}: upstream-{index}");
        }
    }

    /// The name of a model that one of the providers serves, of a few that are far apart.
    pub(crate) fn model(number: usize) -> String {
        format!("model-{}-{}", number % 8, number % 10)
    }

    pub(crate) fn summary(&self) -> String {
        let text = self.text(None);
        format!(
            "{} providers, {} mappings, {} models; {} bytes in {} lines",
            self.providers,
            self.providers * MAPPINGS,
            self.providers,
            text.len(),
            text.lines().count()
        )
    }
}
