//! Tests only: see `suite/`.
