//! `timeouts`, wherever it stands: at the top, in a provider, in a model.

use crate::config::TimeoutOverrides;
use crate::fields::Fields;
use crate::item::Item;

/// Reads `timeouts` and the two older names beside it.
pub(super) fn read(parent: &mut Fields<'_>) -> TimeoutOverrides {
    let mut timeouts = TimeoutOverrides::default();
    let section = parent.take("timeouts");
    if let Some(mut fields) = section.as_ref().and_then(Item::fields) {
        timeouts = TimeoutOverrides {
            connect: fields.positive_duration("connect"),
            headers: fields.positive_duration("headers"),
            first_token: fields.positive_duration("first_token"),
            idle: fields.positive_duration("idle"),
            total: fields.positive_duration("total"),
        };
        read_older(&mut fields, &mut timeouts);
        fields.finish();
    }
    read_older(parent, &mut timeouts);
    timeouts
}

fn read_older(fields: &mut Fields<'_>, timeouts: &mut TimeoutOverrides) {
    let older = [
        ("request_timeout_secs", "timeouts.total", &mut timeouts.total),
        ("ttft_timeout_secs", "timeouts.first_token", &mut timeouts.first_token),
    ];
    for (name, current_name, slot) in older {
        let Some(item) = fields.take_older(name) else { continue };
        if slot.is_some() {
            item.refuse(format!("the older name of `{current_name}`, which is given too; keep one of them"));
        } else if let Some(seconds) = item.integer::<u32>(1..=u64::from(u32::MAX >> 4)) {
            *slot = Some(std::time::Duration::from_secs(u64::from(seconds)));
        }
    }
}
