//! The steps of the hybrid-cluster sagas, one file each. Add a line here and a template in the saga's definition.
pub mod addon_identity;
pub mod attach_ram_policy;
pub mod check_capacity;
pub mod check_identity;
pub mod check_kubernetes;
pub mod check_network;
pub mod check_registered_cluster;
pub mod cloud;
pub mod configure_eni;
pub mod create_access_key;
pub mod create_node_pool;
pub mod create_ram_policy;
pub mod create_ram_user;
pub mod fence_calico;
pub mod install_terway;
pub(crate) mod join_token;
pub mod mint_join_token;
mod node_pools;
mod policy_document;
#[cfg(test)]
mod pool_world;
#[cfg(test)]
mod preview_tests;
pub mod publish_init_script;
#[cfg(test)]
mod ram_tests;
#[cfg(test)]
mod ram_world;
pub mod register_init_script;
pub mod scale_out;
pub mod store_addon_secret;
#[cfg(test)]
pub(crate) mod testing;
mod undo;
pub mod verify_cni;
pub mod verify_nodes;
