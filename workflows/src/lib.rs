//! The hybrid-cluster sagas: definitions, steps, cloud and Kubernetes clients.
