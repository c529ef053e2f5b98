//! The daemon's own account of itself.

use causeway_proto::v1::ServerInfo;
use causeway_proto::v1::server_info::Caller;

use super::super::output::Style;
use super::{Sheet, time};

/// Version, store, definitions and load.
pub(crate) fn info(info: &ServerInfo, style: Style) -> String {
    let store = info.store.clone().unwrap_or_default();
    let mut workflows: Vec<_> =
        info.workflows.iter().map(|(state, count)| format!("{count} {state}")).collect();
    workflows.sort();
    let definitions = info.definitions.iter().map(|definition| {
        let digest = if style.wide { format!(" {}", definition.digest) } else { String::new() };
        format!("{}/{}{digest}", definition.name, definition.revision)
    });
    let draining = if info.draining { "yes" } else { "" };
    let store = format!(
        "{} {} (epoch {}, schema {})",
        store.kind, store.id, store.epoch, store.schema_version
    );
    Sheet::default()
        .fields(&[
            ("Version", info.version.clone()),
            ("Up since", time::moment(info.start_time.as_ref())),
            ("Store", store),
            ("Definitions", definitions.collect::<Vec<_>>().join(", ")),
            ("Workflows", workflows.join(", ")),
            ("Callers", info.authentication.clone()),
            ("Draining", draining.to_owned()),
        ])
        .finish()
}

/// Who asks, and what they may do.
pub(crate) fn caller(caller: &Caller) -> String {
    Sheet::default()
        .fields(&[
            ("Name", caller.principal.clone()),
            ("Role", caller.role().as_str_name().to_owned()),
            ("Connections", caller.connections.join(", ")),
            ("Known by", caller.authentication.clone()),
        ])
        .finish()
}
