//! How values that are text in JSON show in the description of an API (JSON Schema, draft 2020-12).

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// 32 bytes in lower-case hexadecimal.
pub const HASH: &str = "^[0-9a-f]{64}$";

/// A text of this pattern.
pub fn text(pattern: &str, description: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    text.description(Some(description)).into()
}

/// Describes a type whose JSON is a text of a pattern.
macro_rules! text_schema {
    ($name:ident, $pattern:expr, $description:expr) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::base::schema::text($pattern, $description)
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

pub(crate) use text_schema;
