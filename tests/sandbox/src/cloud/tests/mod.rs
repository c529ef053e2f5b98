//! Tests of the whole account over its endpoint.
