//! Resource names: `workflows/{id}` and `hybridClusters/{name}`.

use crate::limits::ID_LEN_MAX;

/// Collection of workflows.
const WORKFLOWS: &str = "workflows/";
/// Collection of hybrid clusters.
const HYBRID_CLUSTERS: &str = "hybridClusters/";

/// Resource name of the workflow with this id.
pub fn workflow(id: &str) -> String {
    format!("{WORKFLOWS}{id}")
}

/// Id in a workflow's resource name; a bare id is taken as it is. `None` where it can't be one.
pub fn workflow_id(name: &str) -> Option<&str> {
    Some(name.strip_prefix(WORKFLOWS).unwrap_or(name)).filter(|id| is_id(id))
}

/// Resource name of the hybrid cluster with this name.
pub fn hybrid_cluster(name: &str) -> String {
    format!("{HYBRID_CLUSTERS}{name}")
}

/// Name in a hybrid cluster's resource name; a bare name is taken as it is. `None` where it can't be one.
pub fn hybrid_cluster_name(name: &str) -> Option<&str> {
    Some(name.strip_prefix(HYBRID_CLUSTERS).unwrap_or(name)).filter(|name| is_id(name))
}

/// Whether `text` is an id: 1 to 40 of `[a-z0-9-]`, with a letter or digit at both ends.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= ID_LEN_MAX
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bare_ids_are_both_understood() {
        assert_eq!(workflow_id(&workflow("w12")), Some("w12"));
        assert_eq!(workflow_id("w12"), Some("w12"));
        assert_eq!(hybrid_cluster_name("hybridClusters/dc1"), Some("dc1"));
    }

    #[test]
    fn what_can_not_be_an_id_is_none() {
        for bad in ["", "workflows/", "Workflows/a", "a/b", "A", "-a", "a-", "ä", &"a".repeat(41)]
        {
            assert_eq!(workflow_id(bad), None, "{bad}");
        }
    }
}
