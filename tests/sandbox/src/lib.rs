//! A simulated world that speaks the real protocols on loopback: an Alibaba Cloud account, a data center's Kubernetes
//! API server, and what happens in between. It judges the daemon, so it shares no signer, type or renderer with it.

pub mod cloud;
pub mod control;
pub mod controllers;
pub mod faults;
pub mod hands;
pub mod instances;
pub mod kube;
pub mod seed;
pub mod time;
pub mod world;
