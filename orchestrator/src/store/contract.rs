//! What every store must do, as tests that run on each of them. A store proves itself by passing all of it.

pub(super) mod appends;
pub(super) mod damage;
pub(super) mod lists;
pub(super) mod removals;
pub(super) mod rows;

use std::sync::Arc;

use super::{Append, Error, Fence, Hold, Refusal, Store};

/// A place where stores of one kind are opened one after the other.
pub(super) trait Place {
    /// Opens the store that is there, or a new one. The one before is gone.
    fn open(&self) -> Arc<dyn Store>;

    /// Damages the row with a workflow's `record`th record. No store is open.
    fn damage_record(&self, workflow: &str, record: u64);

    /// Damages a workflow's head. No store is open.
    fn damage_head(&self, workflow: &str);
}

/// One test per behaviour and store.
macro_rules! contract {
    ($place:expr; $($file:ident: $($name:ident)*;)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::store::contract::$file::$name(&$place).await;
            }
        )*)*
    };
}

/// The whole suite, for a store's own tests: `contract_suite!(place_expression);`
macro_rules! contract_suite {
    ($place:expr) => {
        crate::store::contract::contract! { $place;
            appends: records_come_back_in_order_after_a_reopen a_wrong_number_of_records_is_refused an_older_fence_is_refused
                a_refused_append_changes_nothing one_of_many_writers_of_a_version_wins too_long_values_are_refused
                bad_names_are_refused positions_have_no_gaps_and_survive records_are_read_in_pages
                long_appends_are_cut_into_rows_and_read_whole an_empty_append_moves_rows_only
                whoever_follows_hears_of_each_commit_once_it_can_be_read;
            rows: a_key_is_held_by_one_workflow_and_says_by_whom a_hold_of_one_step_outlives_anothers
                all_keys_or_none_are_acquired the_last_claimant_takes_the_row_with_it claim_conditions_name_the_claimants
                a_request_is_remembered_once_until_it_expires cluster_records_have_versions
                a_long_cluster_record_is_a_blob_that_outlives_its_workflow
                a_note_is_remembered_and_audited_and_is_about_no_workflow
                sealed_values_are_kept_replaced_and_removed blobs_must_be_there_to_be_referred_to
                unreferred_blobs_are_collected audit_rows_come_in_order;
            lists: summaries_come_newest_first_in_pages only_live_workflows_are_listed_for_recovery
                a_workflow_has_one_timer a_summary_is_kept_unless_replaced clusters_come_by_name_in_pages
                a_cluster_record_is_found_by_its_clusters_id
                a_removed_cluster_record_leaves_nothing_behind
                the_store_keeps_its_id;
            removals: a_removed_workflow_is_gone_and_its_id_is_not_used_again a_live_or_changed_workflow_is_not_removed
                a_removal_keeps_what_is_not_its_own;
            damage: a_damaged_record_is_named_and_the_rest_readable a_damaged_head_harms_no_other_workflow
                a_damaged_workflow_can_be_given_up_in_one_append;
        }
    };
}
pub(super) use contract;
pub(super) use contract_suite;

/// An append of some records, from `expected`, under a fence.
fn write(fence: Fence, workflow: &str, expected: u64, records: &[&str]) -> Append {
    let mut append = Append::new(fence, workflow, expected);
    append.events = records.iter().map(|record| record.as_bytes().to_vec()).collect();
    append
}

fn hold(key: &str, step: Option<&str>) -> Hold {
    Hold { key: key.to_owned(), step: step.map(str::to_owned) }
}

/// The refusal in an answer; fails where it is anything else.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> Refusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}
