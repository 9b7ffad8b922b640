//! `/admin/v1/providers`: providers, those of the file and those of the store.

use gateway_keystore::SettingsKind;

use super::Route;
use super::entries::{Changed, Kind, ListOf, New, create, find, list, remove, update};
use crate::entries::{ListedProvider, ProviderBody};
use crate::openapi::Operation;

const TAG: &str = "Providers";
const ID: &str = "The provider's `id`, with `/` as `%2F`.";

/// All of them.
pub(super) const ALL: Route = Route {
    path: Providers::PATH,
    tag: TAG,
    id: "",
    operations: &[
        Operation::new("GET", list::<Providers>, "listProviders", "List providers, those that are left out among them")
            .answering::<ListOf<Providers>>(200, "All of them."),
        Operation::new("POST", create::<Providers>, "createProvider", "Make a provider")
            .taking::<New<Providers>>()
            .answering::<ListedProvider>(201, "How it is in force.")
            .with_headers(&["location"])
            .refusing(&[409, 422, 503]),
    ],
};

/// One of them.
pub(super) const ONE: Route = Route {
    path: "/admin/v1/providers/{id}",
    tag: TAG,
    id: ID,
    operations: &[
        Operation::new("GET", find::<Providers>, "getProvider", "Look at a provider")
            .answering::<ListedProvider>(200, "How it is."),
        Operation::new(
            "PUT",
            update::<Providers>,
            "updateProvider",
            "Change a provider: fields that are missing keep their values",
        )
        .taking::<Changed<Providers>>()
        .answering::<ListedProvider>(200, "How it is now.")
        .refusing(&[409, 422, 503]),
        Operation::new("PATCH", update::<Providers>, "patchProvider", "The same as PUT")
            .taking::<Changed<Providers>>()
            .answering::<ListedProvider>(200, "How it is now.")
            .refusing(&[409, 422, 503]),
        Operation::new("DELETE", remove::<Providers>, "deleteProvider", "Take a provider away").refusing(&[409, 503]),
    ],
};

/// What is special about providers.
struct Providers;

impl Kind for Providers {
    const KIND: SettingsKind = SettingsKind::Provider;
    const PATH: &'static str = "/admin/v1/providers";
    type Body = ProviderBody;
    type View = ListedProvider;
}
