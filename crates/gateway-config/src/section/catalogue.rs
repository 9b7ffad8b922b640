//! The providers by name, for the sections that refer to them.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::config::{Origin, Provider};
use crate::item::Item;
use crate::stored::Dangling;

/// How many unknown names are compared with all that are known. Each is an error, and a report lists no more of them.
const MOST_SUGGESTIONS: u32 = 100;

/// What reading one provider came to.
#[derive(Default)]
pub(super) struct Listing<'a> {
    /// Its name, if that could be read.
    pub(super) name: Option<&'a str>,
    /// The provider, if it is a mapping.
    pub(super) provider: Option<Provider>,
}

pub(super) struct Catalogue<'a> {
    providers: Vec<Provider>,
    disabled: Vec<Provider>,
    by_name: HashMap<&'a str, Listed<'a>>,
    /// Whether some element has no readable name. It might be the one that a reference means.
    has_nameless: bool,
    /// Why there may be providers that are not known here, if there may.
    gap: Option<Absence>,
    /// What becomes of references of the file to what is nowhere.
    dangling: Dangling,
    suggestions_left: Cell<u32>,
}

struct Listed<'a> {
    standing: Standing,
    /// Where it was written; `None` if the store could not even read it.
    item: Option<Item<'a>>,
}

#[derive(Clone, Copy)]
enum Standing {
    /// With its index among those that are served.
    Enabled(usize),
    /// With its index among those that are not.
    Disabled(usize),
    /// The store has it, and it cannot be used.
    LeftOut,
}

/// Why something that the store has, or might have, is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    /// It is in the store and cannot be used.
    LeftOut,
    /// The store has not been read.
    Unread,
    /// It is nowhere, and may have been in the store until now.
    Gone,
}

impl Absence {
    /// Why a reference leads nowhere.
    pub(super) fn of_provider(self) -> &'static str {
        match self {
            Self::LeftOut => "the provider of this name in the store is left out",
            Self::Unread => "no provider of the file has this name, and the store has not been read yet",
            Self::Gone => "no provider of the file or the store has this name",
        }
    }

    /// Why nothing serves a model.
    pub(super) fn of_service(self) -> &'static str {
        match self {
            Self::LeftOut => "nothing serves this name; a provider of the store is left out that perhaps would",
            Self::Unread => "nothing in the file serves this name, and the store has not been read yet",
            Self::Gone => "nothing in the file or the store serves this name",
        }
    }
}

/// What a reference to a provider leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    Enabled(usize),
    Disabled,
    /// Nowhere now, for a reason that is not the reference's fault.
    Absent(Absence),
}

impl<'a> Catalogue<'a> {
    /// A catalogue that may be all there is, or lack whatever a store holds.
    pub(super) fn new(gap: Option<Absence>, dangling: Dangling) -> Self {
        Self {
            providers: Vec::new(),
            disabled: Vec::new(),
            by_name: HashMap::new(),
            has_nameless: false,
            gap,
            dangling,
            suggestions_left: Cell::new(MOST_SUGGESTIONS),
        }
    }

    /// Adds a provider of the file, or reports that its name is taken.
    pub(super) fn list(&mut self, item: &Item<'a>, listing: Listing<'a>) {
        let standing = self.add(listing.provider);
        let Some(name) = listing.name else {
            self.has_nameless = true;
            return;
        };
        match self.by_name.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Listed { standing, item: Some(item.clone()) });
            }
            Entry::Occupied(_) => {
                item.refuse(format!("the name `{name}` is taken by an earlier provider; names are unique"));
            }
        }
    }

    /// Adds a provider of the store whose name is not taken; `None` if it is left out.
    pub(super) fn list_stored(&mut self, name: &'a str, item: Option<Item<'a>>, provider: Option<Provider>) {
        let standing = if provider.is_some() { self.add(provider) } else { Standing::LeftOut };
        if matches!(standing, Standing::LeftOut) {
            self.note_left_out();
        }
        self.by_name.entry(name).or_insert(Listed { standing, item });
    }

    /// Notes that a provider is left out, and with it the names that it would serve.
    pub(super) fn note_left_out(&mut self) {
        self.gap.get_or_insert(Absence::LeftOut);
    }

    fn add(&mut self, provider: Option<Provider>) -> Standing {
        let is_enabled = provider.as_ref().is_some_and(|provider| provider.enabled);
        let list = if is_enabled { &mut self.providers } else { &mut self.disabled };
        let index = list.len();
        list.extend(provider);
        if is_enabled { Standing::Enabled(index) } else { Standing::Disabled(index) }
    }

    /// What has the name, if something has.
    pub(super) fn holder(&self, name: &str) -> Option<&Item<'a>> {
        self.by_name.get(name)?.item.as_ref()
    }

    /// Finds the provider that a value of the file or the store names, or reports that there is none.
    pub(super) fn find(&self, item: &Item<'_>, origin: Origin) -> Option<Reference> {
        let name = item.name("the name of a provider")?;
        match self.by_name.get(name).map(|listed| listed.standing) {
            Some(Standing::Enabled(index)) => Some(Reference::Enabled(index)),
            Some(Standing::Disabled(_)) => Some(Reference::Disabled),
            Some(Standing::LeftOut) => Some(Reference::Absent(Absence::LeftOut)),
            None if self.has_nameless => None,
            None if self.gap == Some(Absence::Unread) => Some(Reference::Absent(Absence::Unread)),
            None if self.tolerates_dangling(origin) => Some(Reference::Absent(Absence::Gone)),
            None => {
                let mut names: Vec<&str> = self.by_name.keys().copied().collect();
                names.sort_unstable();
                item.refuse_text(name, &("the name of a provider".to_owned() + &self.suggest(item, name, names)));
                None
            }
        }
    }

    /// A clause for an error about an unknown name: the nearest of those that are known.
    pub(super) fn suggest<'n>(&self, item: &Item<'_>, found: &str, names: impl IntoIterator<Item = &'n str>) -> String {
        let Some(left) = self.suggestions_left.get().checked_sub(1) else { return String::new() };
        self.suggestions_left.set(left);
        item.suggest(found, names)
    }

    /// The provider for paths that the gateway does not know; it must be able to take them.
    pub(super) fn passthrough(&self, item: &Item<'_>) -> Option<usize> {
        match self.find(item, Origin::File)? {
            Reference::Enabled(index) => return Some(index),
            Reference::Disabled => item.refuse("the provider is disabled; enable it or leave `passthrough` out"),
            Reference::Absent(absence) => item.warn(absence.of_provider()),
        }
        None
    }

    pub(super) fn provider(&self, index: usize) -> Option<&Provider> {
        self.providers.get(index)
    }

    /// The provider of this name that is served, if `is_enabled`, or else that would be.
    pub(super) fn named(&self, name: &str, is_enabled: bool) -> Option<&Provider> {
        match self.by_name.get(name)?.standing {
            Standing::Enabled(index) if is_enabled => self.providers.get(index),
            Standing::Disabled(index) if !is_enabled => self.disabled.get(index),
            _ => None,
        }
    }

    /// The providers that take calls.
    pub(super) fn enabled(&self) -> &[Provider] {
        &self.providers
    }

    /// The providers that would take calls, too, if they were enabled.
    pub(super) fn disabled(&self) -> &[Provider] {
        &self.disabled
    }

    pub(super) fn has_nameless(&self) -> bool {
        self.has_nameless
    }

    /// Why a name that the file or the store refers to may be served, or may have been, although no provider here serves it.
    pub(super) fn gap(&self, origin: Origin) -> Option<Absence> {
        self.gap.or_else(|| self.tolerates_dangling(origin).then_some(Absence::Gone))
    }

    /// Whether a reference that leads nowhere is no error. One in an entry of the store is that entry's own.
    fn tolerates_dangling(&self, origin: Origin) -> bool {
        self.dangling == Dangling::Tolerated && origin == Origin::File
    }

    /// Leaves out providers that are served so far: those of which `surplus` says so, in their order.
    pub(super) fn leave_out(&mut self, surplus: &[bool]) {
        let is_surplus = |index: usize| surplus.get(index) == Some(&true);
        let mut kept = 0;
        let places: Vec<usize> = (0..self.providers.len())
            .map(|index| {
                let place = kept;
                kept += usize::from(!is_surplus(index));
                place
            })
            .collect();
        for listed in self.by_name.values_mut() {
            if let Standing::Enabled(index) = listed.standing {
                let place = places.get(index).filter(|_| !is_surplus(index));
                listed.standing = place.map_or(Standing::LeftOut, |place| Standing::Enabled(*place));
            }
        }
        let mut index = 0..;
        self.providers.retain(|_| !index.next().is_some_and(is_surplus));
        self.note_left_out();
    }

    /// Those that are served, and those that are not.
    pub(super) fn into_providers(self) -> (Vec<Provider>, Vec<Provider>) {
        (self.providers, self.disabled)
    }
}
