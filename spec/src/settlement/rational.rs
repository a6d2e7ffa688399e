//! Exact rationals of bounded size: the numbers between an event and a rounding point (rule T-4).
//!
//! Numerator and denominator have at most [`limits::RATIONAL_BITS_MAX`] bits after reduction; an operation whose
//! result would be larger is an error, so that cost is bounded and nothing wraps. Checked 128-bit ratios would do
//! for a product of two amounts, but not for scores that add several measured ratios before they meet a budget.

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::adapter::FromInto;
use wincode::{SchemaRead, SchemaWrite};

use crate::base::integer::{Signed, Unsigned, is_exact};
use crate::base::limits;
use crate::base::money::AmountMinor;

/// Why a calculation has no result.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArithmeticError {
    /// Rule T-4: a numerator or denominator grew beyond the bound.
    #[error("an exact value needs more than {} bits; round earlier in the terms", limits::RATIONAL_BITS_MAX)]
    Overflow,
    /// Rule T-4: the divisor is zero.
    #[error("division by zero; guard the divisor with a maximum of one in the terms")]
    DivisionByZero,
    /// Rule T-2: a whole number does not fit an amount.
    #[error("a result is beyond 2^53 - 1 minor units")]
    AmountOutOfRange,
    /// Rule T-6: an allotment of a value that is not whole.
    #[error("only a whole number can be allotted; round it first")]
    NotWhole,
    /// Rule T-6: a weight below zero.
    #[error("the weight of party {party} is negative; weights are zero or more")]
    NegativeWeight {
        /// Position of the party in signed order.
        party: usize,
    },
    /// Rule T-6: something to share and nobody to get it.
    #[error("all weights are zero but the total is not; nobody could receive it")]
    NoWeights,
}

/// A ratio of two integers as parties sign it; the form need not be reduced (30/100 and 3/10 are both allowed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The numerator.
    #[wincode(with = "FromInto<Signed, _>")]
    pub numerator: i64,
    /// The denominator, at least 1.
    #[wincode(with = "FromInto<Unsigned, _>")]
    pub denominator: u64,
}

impl Ratio {
    /// `numerator / denominator`.
    pub const fn new(numerator: i64, denominator: u64) -> Self {
        Self { numerator, denominator }
    }

    /// A whole number.
    pub const fn whole(value: i64) -> Self {
        Self::new(value, 1)
    }

    /// So many hundredths.
    pub const fn percent(value: i64) -> Self {
        Self::new(value, 100)
    }
}

/// An exact rational in lowest terms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rational(BigRational);

impl Rational {
    /// Zero.
    pub fn zero() -> Self {
        Self::whole(0)
    }

    /// A whole number.
    pub fn whole(value: i64) -> Self {
        Self(BigRational::from_integer(BigInt::from(value)))
    }

    /// A sum of counts that may not fit 64 bits.
    pub(crate) fn from_i128(value: i128) -> Self {
        Self(BigRational::from_integer(BigInt::from(value)))
    }

    /// A whole number of any size.
    pub(crate) fn from_big(value: BigInt) -> Result<Self, ArithmeticError> {
        Self::bounded(BigRational::from_integer(value))
    }

    /// The value of a signed ratio.
    ///
    /// # Errors
    /// [`ArithmeticError::DivisionByZero`] when its denominator is zero.
    pub fn from_ratio(ratio: Ratio) -> Result<Self, ArithmeticError> {
        if ratio.denominator == 0 {
            return Err(ArithmeticError::DivisionByZero);
        }
        Ok(Self(BigRational::new(BigInt::from(ratio.numerator), BigInt::from(ratio.denominator))))
    }

    fn bounded(value: BigRational) -> Result<Self, ArithmeticError> {
        if value.numer().bits().max(value.denom().bits()) > limits::RATIONAL_BITS_MAX {
            return Err(ArithmeticError::Overflow);
        }
        Ok(Self(value))
    }

    /// The sum.
    ///
    /// # Errors
    /// [`ArithmeticError::Overflow`] beyond the bound.
    pub fn plus(&self, other: &Self) -> Result<Self, ArithmeticError> {
        Self::bounded(&self.0 + &other.0)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`ArithmeticError::Overflow`] beyond the bound.
    pub fn minus(&self, other: &Self) -> Result<Self, ArithmeticError> {
        Self::bounded(&self.0 - &other.0)
    }

    /// The product.
    ///
    /// # Errors
    /// [`ArithmeticError::Overflow`] beyond the bound.
    pub fn times(&self, other: &Self) -> Result<Self, ArithmeticError> {
        Self::bounded(&self.0 * &other.0)
    }

    /// The quotient.
    ///
    /// # Errors
    /// [`ArithmeticError::DivisionByZero`], or [`ArithmeticError::Overflow`] beyond the bound.
    pub fn divided_by(&self, other: &Self) -> Result<Self, ArithmeticError> {
        if other.is_zero() {
            return Err(ArithmeticError::DivisionByZero);
        }
        Self::bounded(&self.0 / &other.0)
    }

    /// The value with the other sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self(-&self.0)
    }

    /// The value without its sign.
    #[must_use]
    pub fn magnitude(&self) -> Self {
        if self.is_negative() { self.negated() } else { self.clone() }
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.0.numer().sign() == Sign::NoSign
    }

    /// Whether the value is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.numer().sign() == Sign::Minus
    }

    /// Whether the value is a whole number.
    pub fn is_whole(&self) -> bool {
        self.0.is_integer()
    }

    /// The reduced numerator, with the sign.
    pub(crate) fn numerator(&self) -> &BigInt {
        self.0.numer()
    }

    /// The reduced denominator, above zero.
    pub(crate) fn denominator(&self) -> &BigInt {
        self.0.denom()
    }

    /// The value as a whole number that fits an amount.
    ///
    /// # Errors
    /// [`ArithmeticError::NotWhole`] when it has a fraction, [`ArithmeticError::AmountOutOfRange`] when it is too large.
    pub fn to_i64(&self) -> Result<i64, ArithmeticError> {
        if !self.is_whole() {
            return Err(ArithmeticError::NotWhole);
        }
        let whole = i64::try_from(self.0.numer()).ok();
        whole.filter(|whole| is_exact(*whole)).ok_or(ArithmeticError::AmountOutOfRange)
    }

    /// The value as an amount.
    ///
    /// # Errors
    /// As [`Self::to_i64`].
    pub fn to_amount(&self) -> Result<AmountMinor, ArithmeticError> {
        self.to_i64().map(AmountMinor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(numerator: i64, denominator: u64) -> Rational {
        Rational::from_ratio(Ratio::new(numerator, denominator)).unwrap()
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(ratio(1, 3).plus(&ratio(1, 6)), Ok(ratio(1, 2)));
        assert_eq!(ratio(1, 3).minus(&ratio(1, 2)), Ok(ratio(-1, 6)));
        assert_eq!(ratio(2, 3).times(&ratio(3, 2)), Ok(Rational::whole(1)));
        assert_eq!(ratio(1, 3).divided_by(&ratio(-2, 3)), Ok(ratio(-1, 2)));
        assert!(ratio(-1, 3) < ratio(-1, 4) && ratio(30, 100) == ratio(3, 10));
    }

    #[test]
    fn a_zero_divisor_is_an_error() {
        assert_eq!(Rational::from_ratio(Ratio::new(1, 0)), Err(ArithmeticError::DivisionByZero));
        assert_eq!(ratio(1, 3).divided_by(&Rational::zero()), Err(ArithmeticError::DivisionByZero));
    }

    #[test]
    fn growth_beyond_the_bound_is_an_error_on_both_sides() {
        for start in [Rational::whole(i64::MAX), ratio(1, u64::MAX)] {
            let (mut value, mut steps) = (start.clone(), 0);
            let error = loop {
                match value.times(&start) {
                    Ok(next) => value = next,
                    Err(error) => break error,
                }
                steps += 1;
                assert!(steps < 8, "values grow without a bound");
            };
            assert_eq!(error, ArithmeticError::Overflow);
        }
    }

    #[test]
    fn an_amount_is_whole_and_fits() {
        let largest = 9_007_199_254_740_991;
        assert_eq!(Rational::whole(-largest).to_amount(), Ok(AmountMinor(-largest)));
        assert_eq!(Rational::whole(largest).to_amount(), Ok(AmountMinor(largest)));
        for beyond in [largest + 1, -largest - 1, i64::MIN] {
            assert_eq!(Rational::whole(beyond).to_amount(), Err(ArithmeticError::AmountOutOfRange));
        }
        assert_eq!(ratio(1, 2).to_amount(), Err(ArithmeticError::NotWhole));
        let beyond = Rational::whole(i64::MAX).plus(&Rational::whole(1)).unwrap();
        assert_eq!(beyond.to_amount(), Err(ArithmeticError::AmountOutOfRange));
    }
}
