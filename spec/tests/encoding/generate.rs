//! Values drawn from a seed, the same on every machine and for ever: what the frozen digests are taken over.

use std::collections::{BTreeMap, BTreeSet};

use yilian_spec::base::codec;
use yilian_spec::base::id::*;
use yilian_spec::base::money::{AmountMinor, Currency};
use yilian_spec::settlement::period::{Accumulator, MetricSum, PartVolume, Volume};
use yilian_spec::settlement::statement::{SettledPeriod, Share};

/// SplitMix64 (Steele, Lea and Flood 2014): sixty-four bits from a counter.
pub struct Gen(u64);

impl Gen {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// From no element to three.
    fn few<T: Arbitrary>(&mut self) -> Vec<T> {
        (0..self.below(4)).map(|_| T::arbitrary(self)).collect()
    }

    pub fn slug(&mut self) -> String {
        const REST: &[u8; 37] = b"abcdefghijklmnopqrstuvwxyz0123456789-";
        let mut text = String::from(char::from(REST[self.below(26) as usize]));
        for _ in 0..=self.below(39) {
            text.push(char::from(REST[self.below(37) as usize]));
        }
        text
    }
}

/// A value that can be drawn.
pub trait Arbitrary: Sized {
    fn arbitrary(draw: &mut Gen) -> Self;
}

macro_rules! integers {
    ($($name:ty)*) => {$(
        impl Arbitrary for $name {
            fn arbitrary(draw: &mut Gen) -> Self {
                // Small, large and anything between.
                (draw.number() >> draw.below(64)) as $name
            }
        }
    )*};
}
integers!(u8 u16 u32);

impl Arbitrary for u64 {
    fn arbitrary(draw: &mut Gen) -> Self {
        // Of at most 53 bits (rule E-8).
        draw.number() >> (11 + draw.below(53))
    }
}

impl Arbitrary for i64 {
    fn arbitrary(draw: &mut Gen) -> Self {
        let magnitude = u64::arbitrary(draw) as Self;
        if draw.below(2) == 1 { -magnitude } else { magnitude }
    }
}

impl<const N: usize> Arbitrary for [u8; N] {
    fn arbitrary(draw: &mut Gen) -> Self {
        std::array::from_fn(|_| draw.number() as u8)
    }
}

impl Arbitrary for bool {
    fn arbitrary(draw: &mut Gen) -> Self {
        draw.below(2) == 1
    }
}

impl Arbitrary for String {
    fn arbitrary(draw: &mut Gen) -> Self {
        const NAMES: [&str; 3] = ["", "Renhe Hospital", "仁和医院"];
        NAMES[draw.below(3) as usize].into()
    }
}

impl<T: Arbitrary> Arbitrary for Vec<T> {
    fn arbitrary(draw: &mut Gen) -> Self {
        draw.few()
    }
}

impl<T: Arbitrary + Ord> Arbitrary for BTreeSet<T> {
    fn arbitrary(draw: &mut Gen) -> Self {
        draw.few().into_iter().collect()
    }
}

impl<K: Arbitrary + Ord, V: Arbitrary> Arbitrary for BTreeMap<K, V> {
    fn arbitrary(draw: &mut Gen) -> Self {
        draw.few::<(K, V)>().into_iter().collect()
    }
}

impl<T: Arbitrary> Arbitrary for Option<T> {
    fn arbitrary(draw: &mut Gen) -> Self {
        bool::arbitrary(draw).then(|| T::arbitrary(draw))
    }
}

impl<A: Arbitrary, B: Arbitrary> Arbitrary for (A, B) {
    fn arbitrary(draw: &mut Gen) -> Self {
        (A::arbitrary(draw), B::arbitrary(draw))
    }
}

/// `wrap!(Name ...)`: tuple structs of one value.
#[macro_export]
macro_rules! wrap {
    ($($name:ident)*) => {$(
        impl $crate::generate::Arbitrary for $name {
            fn arbitrary(draw: &mut $crate::generate::Gen) -> Self {
                Self($crate::generate::Arbitrary::arbitrary(draw))
            }
        }
    )*};
}

/// `record!(Name { field, ... })`: structs with named fields.
#[macro_export]
macro_rules! record {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::generate::Arbitrary for $name {
            fn arbitrary(draw: &mut $crate::generate::Gen) -> Self {
                Self { $($field: $crate::generate::Arbitrary::arbitrary(draw)),* }
            }
        }
    )*};
}

/// `choice!(Name { A, B { field, ... }, C(value) })`: enums, every variant as likely as the others.
#[macro_export]
macro_rules! choice {
    ($($name:ident { $($variant:ident $({ $($field:ident),* })? $(($inner:ident))?),* $(,)? })*) => {$(
        impl $crate::generate::Arbitrary for $name {
            fn arbitrary(draw: &mut $crate::generate::Gen) -> Self {
                let variants: &[fn(&mut $crate::generate::Gen) -> Self] = &[$(
                    |_draw| {
                        $($(let $field = $crate::generate::Arbitrary::arbitrary(_draw);)*)?
                        $(let $inner = $crate::generate::Arbitrary::arbitrary(_draw);)?
                        Self::$variant $({ $($field),* })? $(($inner))?
                    }
                ),*];
                let which = draw.below(variants.len() as u64);
                variants[which as usize](draw)
            }
        }

        // A variant that this list leaves out does not compile.
        const _: fn(&$name) = |value| match value {$(
            $name::$variant $({ $($field),* })? $(($inner))? => {
                $($(let _ = $field;)*)?
                $(let _ = $inner;)?
            }
        )*};
    )*};
}

macro_rules! slugs {
    ($($name:ident)*) => {$(
        impl Arbitrary for $name {
            fn arbitrary(draw: &mut Gen) -> Self {
                Self::new(&draw.slug()).expect("the generator keeps rule S-1")
            }
        }
    )*};
}

slugs!(InstitutionId ConsortiumId ServiceCode MetricCode FigureName);
wrap!(Hash ChainId BlockId TransactionId SubjectTag Commitment GrantId DisclosureId ReferralId ServiceId AgreementId);
wrap!(AmountMinor);

impl Arbitrary for Currency {
    fn arbitrary(draw: &mut Gen) -> Self {
        if bool::arbitrary(draw) { Self::CNY } else { Self::USD }
    }
}

/// Its fields are private; what has the same fields has the same encoding.
impl Arbitrary for Accumulator {
    fn arbitrary(draw: &mut Gen) -> Self {
        type Sums = (BTreeMap<ServiceCode, Volume>, Vec<PartVolume>, Vec<MetricSum>, Vec<AmountMinor>);
        let services: Sums = (Arbitrary::arbitrary(draw), draw.few(), draw.few(), draw.few());
        let adjustments: BTreeMap<u32, Vec<Share>> = Arbitrary::arbitrary(draw);
        let bytes = codec::encode(&(services.0, services.1, services.2, services.3, adjustments));
        codec::decode(&bytes, bytes.len()).expect("a record is encoded as the tuple of its fields (rule E-1)")
    }
}

impl Arbitrary for SettledPeriod {
    fn arbitrary(draw: &mut Gen) -> Self {
        let fields = (u32::arbitrary(draw), Accumulator::arbitrary(draw), draw.few::<Share>());
        let bytes = codec::encode(&fields);
        codec::decode(&bytes, bytes.len()).expect("a record is encoded as the tuple of its fields (rule E-1)")
    }
}
