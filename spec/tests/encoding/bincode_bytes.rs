//! What bincode 1.3.3 writes for a value, in its default configuration.
//!
//! For people and APIs, identifiers, keys and signatures show as hexadecimal text, and serde hands that form to bincode
//! too. The serializer here stands before bincode's own and turns the text back into the bytes it shows; everything
//! else goes through untouched.

use std::fmt::Display;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// The bytes that bincode 1.3.3 writes.
pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bincode::serialize(&Shown { value, hex: false }).expect("bincode writes every value of the protocol")
}

/// Fields whose texts are hexadecimal although they do not go through `collect_str`.
const HEX_FIELDS: [&str; 2] = ["nonce", "peaks"];

/// A value that may show its bytes as text.
struct Shown<'a, T: ?Sized> {
    value: &'a T,
    hex: bool,
}

impl<T: Serialize + ?Sized> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Bytes { inner: serializer, hex: self.hex })
    }
}

/// Bincode's serializer, or a part of it, with the text of bytes turned back.
struct Bytes<S> {
    inner: S,
    hex: bool,
}

fn raw<S: Serializer>(serializer: S, text: &str) -> Result<S::Ok, S::Error> {
    let bytes = hex::decode(text).expect("the text shows bytes");
    let mut tuple = serializer.serialize_tuple(bytes.len())?;
    bytes.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
    tuple.end()
}

macro_rules! plain {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for Bytes<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Bytes<S::SerializeSeq>;
    type SerializeTuple = Bytes<S::SerializeTuple>;
    type SerializeTupleStruct = Bytes<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Bytes<S::SerializeTupleVariant>;
    type SerializeMap = Bytes<S::SerializeMap>;
    type SerializeStruct = Bytes<S::SerializeStruct>;
    type SerializeStructVariant = Bytes<S::SerializeStructVariant>;

    plain! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_f32(f32)
        serialize_f64(f64) serialize_char(char) serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        if self.hex { raw(self.inner, text) } else { self.inner.serialize_str(text) }
    }

    /// Identifiers, keys and signatures come this way, and nothing else does.
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        raw(self.inner, &value.to_string())
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Shown { value, hex: false })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Shown { value, hex: false })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &Shown { value, hex: false })
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_seq(length)?, hex: self.hex })
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_tuple(length)?, hex: false })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_tuple_struct(name, length)?, hex: false })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_tuple_variant(name, index, variant, length)?, hex: false })
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_map(length)?, hex: false })
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_struct(name, length)?, hex: false })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        Ok(Bytes { inner: self.inner.serialize_struct_variant(name, index, variant, length)?, hex: false })
    }
}

impl<S: SerializeSeq> SerializeSeq for Bytes<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_element(&Shown { value, hex: self.hex })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

impl<S: SerializeTuple> SerializeTuple for Bytes<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_element(&Shown { value, hex: false })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

macro_rules! positional {
    ($($name:ident)*) => {$(
        impl<S: $name> $name for Bytes<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.serialize_field(&Shown { value, hex: false })
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}
positional!(SerializeTupleStruct SerializeTupleVariant);

macro_rules! named {
    ($($name:ident)*) => {$(
        impl<S: $name> $name for Bytes<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                self.inner.serialize_field(key, &Shown { value, hex: HEX_FIELDS.contains(&key) })
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}
named!(SerializeStruct SerializeStructVariant);

impl<S: SerializeMap> SerializeMap for Bytes<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(&Shown { value: key, hex: false })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Shown { value, hex: false })
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
