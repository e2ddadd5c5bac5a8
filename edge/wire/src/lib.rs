//! The contract's JSON types, the Reason table and a blocking client.
