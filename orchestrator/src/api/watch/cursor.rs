//! Where a watch over many workflows is: a place in the store's commit order, and how far it has come there. Its size does not
//! depend on how many workflows there are.

use super::super::token;
use crate::runtime::Info;

const KIND: &str = "watch-all";

/// Where a watch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// All commits up to this one have been told, or are in the snapshots.
    pub(super) position: u64,
    /// What comes next.
    pub(super) stage: Stage,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Snapshots, as of the position, of the workflows that were started before that one; none: of all.
    Snapshots(Option<u64>),
    /// The next commit, of which so many messages have been sent.
    Commits(usize),
}

/// What a cursor is good for, besides the place.
#[derive(Debug)]
pub(super) struct Scope([String; 3]);

impl Scope {
    /// Of a store and a filter.
    pub(super) fn new(info: &Info, filter: &str) -> Self {
        let epoch = info.restore_epoch.to_string();
        Self([info.store_id.clone(), epoch, filter.trim().to_owned()])
    }

    fn parts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// A cursor as callers hold it. One part for each shard: this daemon has one.
    pub(super) fn encode(&self, shard: u32, cursor: Cursor) -> String {
        let stage = match cursor.stage {
            Stage::Snapshots(None) => "all".to_owned(),
            Stage::Snapshots(Some(before)) => format!("before-{before}"),
            Stage::Commits(sent) => format!("sent-{sent}"),
        };
        token::encode(KIND, &self.parts(), &format!("{shard}:{}:{stage}", cursor.position))
    }

    /// The cursor; none where it was not made for this scope and shard.
    pub(super) fn decode(&self, shard: u32, text: &str) -> Option<Cursor> {
        let place = token::decode(KIND, &self.parts(), text)?;
        let mut parts = place.split(':');
        if parts.next()?.parse() != Ok(shard) {
            return None;
        }
        let position = parts.next()?.parse().ok()?;
        let stage = parts.next()?;
        let stage = match stage.split_once('-') {
            None if stage == "all" => Stage::Snapshots(None),
            Some(("before", start)) => Stage::Snapshots(Some(start.parse().ok()?)),
            Some(("sent", sent)) => Stage::Commits(sent.parse().ok()?),
            _ => return None,
        };
        parts.next().is_none().then_some(Cursor { position, stage })
    }
}

#[cfg(test)]
mod tests {
    use causeway_engine::Time;

    use super::*;

    fn scope(store: &str, epoch: u64, filter: &str) -> Scope {
        let info = Info {
            store_id: store.to_owned(),
            restore_epoch: epoch,
            started_at: Time(0),
            live: 0,
            definitions: Vec::new(),
            draining: false,
        };
        Scope::new(&info, filter)
    }

    #[test]
    fn a_cursor_comes_back_for_the_same_store_epoch_and_filter_only() {
        let ours = scope("s", 1, "state=RUNNING");
        let stages =
            [Stage::Snapshots(None), Stage::Snapshots(Some(7)), Stage::Commits(u64::MAX as usize)];
        for stage in stages {
            let cursor = Cursor { position: u64::MAX, stage };
            let text = ours.encode(0, cursor);
            assert!(text.len() < 160, "{text}");
            assert_eq!(scope("s", 1, " state=RUNNING ").decode(0, &text), Some(cursor));
            assert_eq!(ours.decode(1, &text), None);
            for other in
                [scope("t", 1, "state=RUNNING"), scope("s", 2, "state=RUNNING"), scope("s", 1, "")]
            {
                assert_eq!(other.decode(0, &text), None);
            }
        }
        for place in [
            "0:1",
            "0:1:",
            "0:1:sent-",
            "0:1:sent--1",
            "0:x:all",
            "0:1:all:2",
            "0:1:before-all",
            "",
        ] {
            let forged = token::encode(KIND, &ours.parts(), place);
            assert_eq!(ours.decode(0, &forged), None, "{place}");
        }
    }
}
