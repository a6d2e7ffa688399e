//! The terms that the simulated consortium signs, said again in plain integers: a split of the gross amount by whole
//! weights, and a fixed price for each service.

use yilian_spec::base::id::{FigureName, ServiceCode, ServiceId};
use yilian_spec::settlement::PartRole;
use yilian_spec::settlement::expression::{Measure, Step, StepIndex};
use yilian_spec::settlement::rational::Ratio;
use yilian_spec::settlement::terms::{Rounding, Terms};

use super::history::Played;

/// A service as an agreement counts it.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which.
    pub id: ServiceId,
    /// What was done.
    pub code: ServiceCode,
    /// The gross amount in minor units.
    pub gross: i128,
    /// Who played which part.
    pub parts: Vec<Played>,
}

/// What the parties are owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simple {
    /// The gross amount by largest remainder over the weights.
    Split {
        /// One for each party.
        weights: Vec<i128>,
        /// Whether each event is split alone.
        per_event: bool,
        /// Under which name a statement shows the split.
        figure: FigureName,
    },
    /// So much for each service in which a party played the part.
    FixedPrice {
        /// The part.
        role: PartRole,
        /// The price in minor units.
        fee: i128,
        /// Number of parties.
        parties: usize,
    },
}

fn whole(ratio: &Ratio) -> Option<i128> {
    (ratio.denominator == 1).then_some(ratio.numerator.into())
}

impl Simple {
    /// Reads signed terms; `None` if they are of neither kind.
    pub fn read(terms: &Terms) -> Option<Self> {
        let per_event = terms.rounding == Rounding::PerEvent;
        let (first, second) = (StepIndex(0), StepIndex(1));
        match terms.expression.steps.as_slice() {
            [
                Step::Events { service: None, measure: Measure::NetGross },
                Step::PerParty { values },
                Step::Allot { amount, weights, figure },
            ] if (*amount, *weights) == (first, second) => {
                let weights = values.iter().map(whole).collect::<Option<_>>()?;
                Some(Self::Split { weights, per_event, figure: figure.clone() })
            }
            [
                Step::PartyEvents { service: None, role, measure: Measure::NetCount },
                Step::Constant { value },
                Step::Multiply { left, right },
            ] if (*left, *right) == (first, second) && !per_event => {
                let parties = terms.parties.len();
                Some(Self::FixedPrice { role: *role, fee: whole(value)?, parties })
            }
            _ => None,
        }
    }

    /// What each party is owed for these events of one period.
    pub fn amounts(&self, events: &[&Event]) -> Vec<i128> {
        match self {
            Self::Split { weights, per_event: true, .. } => {
                let mut sums = vec![0; weights.len()];
                for event in events {
                    let shares = largest_remainder(event.gross, weights);
                    sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += share);
                }
                sums
            }
            Self::Split { weights, .. } => {
                largest_remainder(events.iter().map(|event| event.gross).sum(), weights)
            }
            Self::FixedPrice { role, fee, parties } => {
                let played = |party: usize| {
                    let parts = events.iter().flat_map(|event| &event.parts);
                    parts.filter(|part| **part == (party, *role)).count() as i128
                };
                (0..*parties).map(|party| played(party) * fee).collect()
            }
        }
    }

    /// What an event is worth to all parties together, wherever it is settled.
    pub fn worth(&self, event: &Event) -> i128 {
        match self {
            Self::Split { .. } => event.gross,
            Self::FixedPrice { role, fee, .. } => {
                event.parts.iter().filter(|(_, played)| played == role).count() as i128 * fee
            }
        }
    }
}

/// Rule T-6 for a total and weights that are zero or more, some above zero.
pub fn largest_remainder(total: i128, weights: &[i128]) -> Vec<i128> {
    let sum: i128 = weights.iter().sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let mut shares: Vec<i128> = weights.iter().map(|weight| total * weight / sum).collect();
    let mut remainders: Vec<i128> = weights.iter().map(|weight| total * weight % sum).collect();
    for _ in 0..total - shares.iter().sum::<i128>() {
        // The first of the largest, for that party stands earlier in the terms.
        let mut largest = 0;
        for party in 1..remainders.len() {
            if remainders[party] > remainders[largest] {
                largest = party;
            }
        }
        shares[largest] += 1;
        remainders[largest] = -1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_examples_come_out() {
        let weights = [30, 55, 15];
        assert_eq!(largest_remainder(10_001, &weights), [3_000, 5_501, 1_500]);
        assert_eq!(largest_remainder(30_003, &weights), [9_001, 16_502, 4_500]);
        assert_eq!(largest_remainder(1, &[1, 1, 1]), [1, 0, 0]);
        let event = |gross| Event {
            id: ServiceId([1; 32]),
            code: ServiceCode::new("teleconsultation").unwrap(),
            gross,
            parts: vec![(0, PartRole::Primary), (1, PartRole::Expert)],
        };
        let events = [event(10_001), event(10_001), event(10_001)];
        let events: Vec<&Event> = events.iter().collect();
        let split = |per_event| Simple::Split {
            weights: weights.to_vec(),
            per_event,
            figure: FigureName::new("split").unwrap(),
        };
        assert_eq!(split(true).amounts(&events), [9_000, 16_503, 4_500]);
        assert_eq!(split(false).amounts(&events), [9_001, 16_502, 4_500]);
        assert_eq!(split(true).worth(events[0]), 10_001);
        let fixed = Simple::FixedPrice { role: PartRole::Expert, fee: 70, parties: 2 };
        assert_eq!((fixed.amounts(&events), fixed.worth(events[0])), (vec![0, 210], 70));
    }
}
