//! `store` and `redis`: where state outlives the process. Their URLs may hold passwords and are never repeated.

use crate::fields::Fields;

pub(super) fn read(root: &mut Fields<'_>) {
    if let Some(mut fields) = root.take("store").and_then(|item| item.fields()) {
        read_url(
            &mut fields,
            &["sqlite:", "postgresql://", "postgres://"],
            "sqlite:PATH, a postgresql:// URL, or none",
        );
        fields.finish();
    }
    if let Some(mut fields) = root.take("redis").and_then(|item| item.fields()) {
        read_url(&mut fields, &["redis://", "rediss://"], "a redis:// or rediss:// URL, or nothing");
        if let Some(item) = fields.take_not_in_force("on_error") {
            item.choice(&[("local", ()), ("deny", ())]);
        }
        fields.finish();
    }
}

fn read_url(fields: &mut Fields<'_>, schemes: &[&str], expected: &str) {
    let Some(item) = fields.take("url") else { return };
    let Some(url) = item.scalar(expected) else { return };
    if url.is_empty() || url == "none" {
        return;
    }
    if !schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
        item.refuse(format!("expected {expected}; what was found may hold a password and is not repeated"));
    }
    item.report().note_not_in_force(item.path());
}
