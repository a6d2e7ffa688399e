//! What everything uses: bounds, the canonical encoding, identifiers and small types.

pub mod codec;
pub mod height;
pub mod id;
pub mod integer;
pub mod json;
pub mod limits;
pub mod money;
pub mod schema;
pub mod time;
pub mod version;
