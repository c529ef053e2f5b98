//! The steps of the hybrid-cluster sagas, one file each. Add a line here and a template in the saga's definition.
