//! The text form of keys and signatures: lower-case hexadecimal, one form per value (rule K-12).

/// Why a text is not a key or signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The number of digits is wrong.
    #[error("expected {expected} hexadecimal digits, found {found} bytes of text")]
    Length {
        /// Digits that the value has.
        expected: usize,
        /// Bytes of text that were given.
        found: usize,
    },
    /// A character that is not a lower-case hexadecimal digit.
    #[error(
        "expected lower-case hexadecimal digits (0-9, a-f), found another character at position {position}"
    )]
    Digit {
        /// Byte position of the first such character, from 0.
        position: usize,
    },
    /// Rule K-13.
    #[error("the first two digits say algorithm {found}, this program knows 01 (Ed25519): update it")]
    Algorithm {
        /// The first two digits.
        found: String,
    },
}

/// Reads exactly `N` bytes of lower-case hexadecimal.
pub(super) fn read<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    if text.len() != 2 * N {
        return Err(HexError::Length { expected: 2 * N, found: text.len() });
    }
    if let Some(position) = text.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(HexError::Digit { position });
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).expect("length and digits were checked above");
    Ok(bytes)
}

/// Gives a key or signature its `Display`, `Debug`, `FromStr` and serde forms: its encoding in hexadecimal digits.
macro_rules! hex_text {
    ($name:ident, $pattern:literal, $description:literal) => {
        $crate::base::schema::text_schema!($name, $pattern, $description);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&hex::encode($crate::base::codec::encode(self)))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::crypto::signature::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                use $crate::crypto::signature::HexError;
                let bytes = $crate::crypto::signature::text::read::<{ $name::ENCODED_BYTES }>(text)?;
                let decoded = $crate::base::codec::decode(&bytes, bytes.len());
                decoded.map_err(|_| HexError::Algorithm { found: text[..2].to_owned() })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "{} lower-case hexadecimal digits", 2 * $name::ENCODED_BYTES)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

pub(super) use hex_text;
