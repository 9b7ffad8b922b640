//! `/admin/v1/models`: models, those of the file and those of the store.

use gateway_keystore::SettingsKind;

use super::Route;
use super::entries::{Changed, Kind, ListOf, New, create, find, list, remove, update};
use crate::entries::{ListedModel, ModelBody};
use crate::openapi::Operation;

const TAG: &str = "Model entries";
const ID: &str = "The model's `id`, with `/` as `%2F`.";

/// All of them.
pub(super) const ALL: Route = Route {
    path: Models::PATH,
    tag: TAG,
    id: "",
    operations: &[
        Operation::new("GET", list::<Models>, "listModelEntries", "List models, those that are left out among them")
            .answering::<ListOf<Models>>(200, "All of them."),
        Operation::new("POST", create::<Models>, "createModelEntry", "Make a model")
            .taking::<New<Models>>()
            .answering::<ListedModel>(201, "How it is in force.")
            .with_headers(&["location"])
            .refusing(&[409, 422, 503]),
    ],
};

/// One of them.
pub(super) const ONE: Route = Route {
    path: "/admin/v1/models/{id}",
    tag: TAG,
    id: ID,
    operations: &[
        Operation::new("GET", find::<Models>, "getModelEntry", "Look at a model")
            .answering::<ListedModel>(200, "How it is."),
        Operation::new(
            "PUT",
            update::<Models>,
            "updateModelEntry",
            "Change a model: fields that are missing keep their values",
        )
        .taking::<Changed<Models>>()
        .answering::<ListedModel>(200, "How it is now.")
        .refusing(&[409, 422, 503]),
        Operation::new("PATCH", update::<Models>, "patchModelEntry", "The same as PUT")
            .taking::<Changed<Models>>()
            .answering::<ListedModel>(200, "How it is now.")
            .refusing(&[409, 422, 503]),
        Operation::new("DELETE", remove::<Models>, "deleteModelEntry", "Take a model away").refusing(&[409, 503]),
    ],
};

/// What is special about models.
struct Models;

impl Kind for Models {
    const KIND: SettingsKind = SettingsKind::Model;
    const PATH: &'static str = "/admin/v1/models";
    type Body = ModelBody;
    type View = ListedModel;
}
