//! The two ways from an exact value to whole minor units: rounding half up, and allotting by largest remainder.
//!
//! Rules T-5 and T-6 of `spec/protocol/06-settlement.md`.

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;

use super::rational::{ArithmeticError, Rational};

/// `hu(value)`: the nearest whole number, halves away from zero (rule T-5).
///
/// # Errors
/// [`ArithmeticError::Overflow`] when rounding up leaves the bound.
pub fn round_half_up(value: &Rational) -> Result<Rational, ArithmeticError> {
    let numerator = value.numerator().magnitude();
    let denominator = value.denominator().magnitude();
    let rounded = (numerator * 2u8 + denominator) / (denominator * 2u8);
    let sign = if value.is_negative() { Sign::Minus } else { Sign::Plus };
    Rational::from_big(BigInt::from_biguint(sign, rounded))
}

/// `LR(total, weights)`: shares `total` by largest remainder (rule T-6).
///
/// Each party gets the floor of its exact share of the magnitude; the units left go to the largest remainders, ties
/// to the earlier party; a negative total's shares are negated. The shares sum to `total`.
///
/// # Errors
/// [`ArithmeticError::NotWhole`], [`ArithmeticError::NegativeWeight`], [`ArithmeticError::NoWeights`] or
/// [`ArithmeticError::Overflow`].
pub fn allot(total: &Rational, weights: &[Rational]) -> Result<Vec<Rational>, ArithmeticError> {
    if !total.is_whole() {
        return Err(ArithmeticError::NotWhole);
    }
    if let Some(party) = weights.iter().position(Rational::is_negative) {
        return Err(ArithmeticError::NegativeWeight { party });
    }
    let sum = weights.iter().try_fold(Rational::zero(), |sum, weight| sum.plus(weight))?;
    if sum.is_zero() {
        let nothing = vec![Rational::zero(); weights.len()];
        return if total.is_zero() { Ok(nothing) } else { Err(ArithmeticError::NoWeights) };
    }
    let magnitude = BigInt::from(total.numerator().magnitude().clone());
    let (mut shares, remainders): (Vec<BigInt>, Vec<BigRational>) =
        weights.iter().map(|weight| split_share(&magnitude, weight, &sum)).unzip();
    let units_left = shares.iter().fold(magnitude, |left, share| left - share);
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| remainders[*b].cmp(&remainders[*a]).then(a.cmp(b)));
    // Each remainder is below one, so fewer units are left than there are parties with a remainder above zero.
    let units_left = usize::try_from(&units_left).expect("fewer units are left than there are parties");
    for party in order.into_iter().take(units_left) {
        shares[party] += 1u8;
    }
    let sign = |share: BigInt| if total.is_negative() { -share } else { share };
    shares.into_iter().map(|share| Rational::from_big(sign(share))).collect()
}

/// Floor and remainder of `magnitude * weight / sum`. Its parts stay below three times the bound of a rational.
fn split_share(magnitude: &BigInt, weight: &Rational, sum: &Rational) -> (BigInt, BigRational) {
    let numerator = magnitude * weight.numerator() * sum.denominator();
    let denominator = weight.denominator() * sum.numerator();
    let floor = &numerator / &denominator;
    let remainder = numerator - &floor * &denominator;
    (floor, BigRational::new(remainder, denominator))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settlement::rational::Ratio;

    fn ratio(numerator: i64, denominator: u64) -> Rational {
        Rational::from_ratio(Ratio::new(numerator, denominator)).unwrap()
    }

    fn shares(total: i64, weights: &[i64]) -> Result<Vec<i64>, ArithmeticError> {
        let weights: Vec<Rational> = weights.iter().map(|weight| Rational::whole(*weight)).collect();
        allot(&Rational::whole(total), &weights)?.iter().map(Rational::to_i64).collect()
    }

    /// The same rule in plain integers, written apart from the code above.
    fn oracle(total: i64, weights: &[i64]) -> Vec<i64> {
        let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let magnitude = i128::from(total).abs();
        let mut result: Vec<i128> =
            weights.iter().map(|weight| magnitude * i128::from(*weight) / sum).collect();
        let mut remainders: Vec<i128> =
            weights.iter().map(|weight| magnitude * i128::from(*weight) % sum).collect();
        for _ in 0..magnitude - result.iter().sum::<i128>() {
            let largest = *remainders.iter().max().unwrap();
            let first = remainders.iter().position(|remainder| *remainder == largest).unwrap();
            result[first] += 1;
            remainders[first] = -1;
        }
        result.iter().map(|share| i64::try_from(share * i128::from(total.signum())).unwrap()).collect()
    }

    #[test]
    fn halves_round_away_from_zero() {
        let cases =
            [(1, 2, 1), (-1, 2, -1), (1, 3, 0), (-1, 3, 0), (5, 2, 3), (-5, 2, -3), (7, 1, 7), (0, 9, 0)];
        for (numerator, denominator, rounded) in cases {
            assert_eq!(round_half_up(&ratio(numerator, denominator)), Ok(Rational::whole(rounded)));
        }
        // 17 of 31 days at 5200 (arrangement A4).
        assert_eq!(round_half_up(&ratio(5_200 * 17, 31)), Ok(Rational::whole(2_852)));
    }

    #[test]
    fn a_split_by_percentages_gives_the_units_left_to_the_largest_remainders() {
        assert_eq!(shares(10_001, &[30, 55, 15]), Ok(vec![3_000, 5_501, 1_500]));
        assert_eq!(shares(30_003, &[30, 55, 15]), Ok(vec![9_001, 16_502, 4_500]));
        assert_eq!(shares(-10_001, &[30, 55, 15]), Ok(vec![-3_000, -5_501, -1_500]));
        assert_eq!(shares(1, &[1, 1, 1]), Ok(vec![1, 0, 0]), "a tie goes to the earlier party");
    }

    #[test]
    fn largest_remainder_is_not_monotone() {
        let weights = [21_878, 9_713, 4_167, 3_252, 1_065];
        assert_eq!(shares(43, &weights), Ok(vec![24, 10, 4, 4, 1]));
        assert_eq!(shares(44, &weights), Ok(vec![24, 11, 5, 3, 1]));
    }

    #[test]
    fn what_cannot_be_allotted_is_refused() {
        assert_eq!(allot(&ratio(1, 2), &[ratio(1, 1)]), Err(ArithmeticError::NotWhole));
        assert_eq!(shares(5, &[2, -1]), Err(ArithmeticError::NegativeWeight { party: 1 }));
        assert_eq!(shares(5, &[0, 0]), Err(ArithmeticError::NoWeights));
        assert_eq!(shares(5, &[]), Err(ArithmeticError::NoWeights));
        assert_eq!(shares(0, &[0, 0]), Ok(vec![0, 0]));
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_total_and_follow_the_oracle(
            total in -9_007_199_254_740_991..=9_007_199_254_740_991i64,
            weights in prop::collection::vec(0..=1_000_000_000_000i64, 1..12),
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let result = shares(total, &weights).unwrap();
            prop_assert_eq!(result.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(total));
            prop_assert_eq!(result, oracle(total, &weights));
        }

        #[test]
        fn only_the_proportion_of_the_weights_counts(
            total in -1_000_000..1_000_000i64,
            weights in prop::collection::vec(1..1_000i64, 1..8),
            divisor in 1..1_000u64,
        ) {
            let scaled: Vec<Rational> = weights.iter().map(|weight| ratio(*weight, divisor)).collect();
            let by_fractions: Vec<i64> = allot(&Rational::whole(total), &scaled)
                .unwrap().iter().map(|share| share.to_i64().unwrap()).collect();
            prop_assert_eq!(by_fractions, shares(total, &weights).unwrap());
        }

        #[test]
        fn rounding_is_within_half_a_unit_and_odd(numerator in any::<i64>(), denominator in 1..u64::MAX) {
            let value = ratio(numerator, denominator);
            let rounded = round_half_up(&value).unwrap();
            let distance = rounded.minus(&value).unwrap().magnitude();
            prop_assert!(rounded.is_whole() && distance <= ratio(1, 2));
            if distance == ratio(1, 2) {
                prop_assert!(rounded.magnitude() > value.magnitude());
            }
            prop_assert_eq!(round_half_up(&value.negated()).unwrap(), rounded.negated());
        }
    }
}
