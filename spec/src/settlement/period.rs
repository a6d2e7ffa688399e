//! What a period adds up: counts and gross amounts by service, party and part, in bounded space (rules T-14, T-15).
//!
//! Every event updates sums, so the accumulator does not depend on the order of events, and closing a period costs
//! the number of parties and services, not of events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use wincode::{SchemaRead, SchemaWrite};

use super::evaluate::{EvaluateError, evaluate};
use super::expression::{Measure, MetricSide};
use super::statement::{Line, LineKind, Share};
use super::terms::{Rounding, Terms};
use super::{PartRole, PartyIndex};
use crate::base::id::{MetricCode, ServiceCode};
use crate::base::limits;
use crate::base::money::{AmountMinor, MoneyError};

/// A part that a party played in a service.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct PartPlayed {
    /// The party.
    pub party: PartyIndex,
    /// Its part.
    pub role: PartRole,
}

/// A delivered service as settlement sees it: an event on the ledger, matched to an agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceEvent {
    /// What was done.
    pub service: ServiceCode,
    /// The gross amount, zero or more.
    pub gross_minor: AmountMinor,
    /// Who did what part of it, among the parties of the agreement.
    pub parts: Vec<PartPlayed>,
}

/// Whether a service was delivered, or one delivered before is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The service was delivered.
    Delivered,
    /// The service, delivered before, is reversed.
    Reversed,
}

/// Why an event cannot enter a period, or a period has no statement.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SettlementError {
    /// Rule T-14: the terms do not cover the service.
    #[error("the terms do not cover service {service}")]
    ServiceNotCovered {
        /// The service.
        service: ServiceCode,
    },
    /// Rule T-14: the gross amount is negative or beyond the bound of one service.
    #[error(
        "a gross amount is 0 to {} minor units, this one {gross}; record a reversal as one",
        limits::AMOUNT_MINOR_MAX
    )]
    GrossOutOfRange {
        /// The amount in minor units.
        gross: i64,
    },
    /// Rule T-14: too many parts played.
    #[error("a service has at most {} parts, this one {count}", limits::PARTS_PER_SERVICE_MAX)]
    TooManyParts {
        /// Number of parts.
        count: usize,
    },
    /// Rule T-14: the terms give the party no such part.
    #[error("the terms give party {party} no part {role:?}")]
    PartNotAgreed {
        /// Position of the party.
        party: usize,
        /// The part.
        role: PartRole,
    },
    /// Rule T-14: the same party and part twice in one service.
    #[error("party {party} plays the part {role:?} twice in one service")]
    PartRepeated {
        /// Position of the party.
        party: usize,
        /// The part.
        role: PartRole,
    },
    /// Rule T-14: more reversed than delivered.
    #[error("more of service {service} would be reversed than was delivered in the period")]
    ReversedMoreThanDelivered {
        /// The service.
        service: ServiceCode,
    },
    /// Rule T-14: the terms do not name the metric.
    #[error("the terms do not name metric {metric}")]
    MetricNotAgreed {
        /// The metric.
        metric: MetricCode,
    },
    /// Rule T-14: the terms do not have the party.
    #[error("the terms have no party {party}")]
    UnknownParty {
        /// Position of the party.
        party: usize,
    },
    /// Rule T-19: late events for too many closed periods.
    #[error(
        "late events adjust at most {} closed periods within one open period; close the open one first",
        limits::ADJUSTED_PERIODS_MAX
    )]
    TooManyAdjustedPeriods,
    /// Rule T-2: a sum does not fit.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// The expression has no value over these events.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// A number of services and their gross amount.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Number of services.
    pub count: u64,
    /// Sum of their gross amounts.
    pub gross_minor: AmountMinor,
}

/// What was delivered and what of it was reversed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Delivered in the period.
    pub delivered: Tally,
    /// Reversed, of what was delivered in the period.
    pub reversed: Tally,
}

impl Volume {
    /// Delivered less reversed: number of services and gross amount. Neither is negative.
    pub fn net(self) -> Tally {
        Tally {
            count: self.delivered.count.saturating_sub(self.reversed.count),
            gross_minor: AmountMinor(
                self.delivered.gross_minor.0.saturating_sub(self.reversed.gross_minor.0),
            ),
        }
    }

    fn measure(self, measure: Measure) -> i128 {
        match measure {
            Measure::DeliveredCount => self.delivered.count.into(),
            Measure::ReversedCount => self.reversed.count.into(),
            Measure::NetCount => self.net().count.into(),
            Measure::DeliveredGross => self.delivered.gross_minor.0.into(),
            Measure::ReversedGross => self.reversed.gross_minor.0.into(),
            Measure::NetGross => self.net().gross_minor.0.into(),
        }
    }

    fn record(&mut self, event: &ServiceEvent, direction: Direction) -> Result<(), SettlementError> {
        let tally = match direction {
            Direction::Delivered => &mut self.delivered,
            Direction::Reversed => &mut self.reversed,
        };
        tally.count = tally.count.checked_add(1).ok_or(MoneyError::AmountOutOfRange)?;
        tally.gross_minor = tally.gross_minor.plus(event.gross_minor)?;
        if self.reversed.count > self.delivered.count
            || self.reversed.gross_minor > self.delivered.gross_minor
        {
            return Err(SettlementError::ReversedMoreThanDelivered { service: event.service.clone() });
        }
        Ok(())
    }
}

/// The services in which a party played a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartVolume {
    /// The service.
    pub service: ServiceCode,
    /// The party and its part.
    pub played: PartPlayed,
    /// How much of it.
    pub volume: Volume,
}

/// The reports of a metric for a party, added up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSum {
    /// The metric.
    pub metric: MetricCode,
    /// The party it is about.
    pub party: PartyIndex,
    /// The sum of the numerators.
    pub numerator: i64,
    /// The sum of the denominators.
    pub denominator: i64,
}

/// The sums of one agreement and period. At most services × parties × parts rows, whatever the number of events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, SchemaRead, SchemaWrite, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Accumulator {
    /// Volume per service.
    services: BTreeMap<ServiceCode, Volume>,
    /// Volume per service, party and part, sorted by them.
    parts: Vec<PartVolume>,
    /// Metrics per metric and party, sorted by them.
    metrics: Vec<MetricSum>,
    /// Where the split rounds per event: the sum of the events' amounts per party; else empty.
    split: Vec<AmountMinor>,
    /// What late events changed in periods closed before, per party, by the number of the period.
    adjustments: BTreeMap<u32, Vec<Share>>,
}

impl Accumulator {
    /// Services that count in this period: delivered less reversed, with what late reversals took from the party at this place
    /// in closed ones.
    pub fn count_net(&self, party: usize) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let own = self.services.values();
        let own: i64 = own.map(|volume| signed(volume.delivered.count) - signed(volume.reversed.count)).sum();
        let late = self.adjustments.values().filter_map(|shares| shares.get(party));
        own + late.map(|share| share.count).sum::<i64>()
    }

    /// Adds a service, or takes one back that was added before. On an error nothing has changed.
    ///
    /// # Errors
    /// [`SettlementError`] when the event breaks rule T-14, a sum does not fit, or the event alone has no split.
    pub fn record(
        &mut self,
        terms: &Terms,
        event: &ServiceEvent,
        direction: Direction,
    ) -> Result<(), SettlementError> {
        check_event(terms, event)?;
        let mut next = self.clone();
        next.tally(event, direction)?;
        if terms.rounding == Rounding::PerEvent {
            let mut alone = Self::default();
            alone.tally(event, Direction::Delivered)?;
            let amounts = evaluate(terms, &alone)?.amounts;
            next.split.resize(terms.parties.len(), AmountMinor::ZERO);
            for (sum, amount) in next.split.iter_mut().zip(amounts) {
                *sum = match direction {
                    Direction::Delivered => sum.plus(amount)?,
                    Direction::Reversed => sum.minus(amount)?,
                };
            }
        }
        *self = next;
        Ok(())
    }

    /// Adds a report of a metric about a party. Reports add up; a correction reports the difference.
    ///
    /// # Errors
    /// [`SettlementError::MetricNotAgreed`], [`SettlementError::UnknownParty`], or [`SettlementError::Amount`] when
    /// a sum does not fit. Then nothing has changed.
    pub fn report_metric(
        &mut self,
        terms: &Terms,
        metric: &MetricCode,
        party: PartyIndex,
        numerator: i64,
        denominator: i64,
    ) -> Result<(), SettlementError> {
        if !terms.metrics.contains(metric) {
            return Err(SettlementError::MetricNotAgreed { metric: metric.clone() });
        }
        if party.position() >= terms.parties.len() {
            return Err(SettlementError::UnknownParty { party: party.position() });
        }
        match self.metrics.binary_search_by(|sum| (&sum.metric, sum.party).cmp(&(metric, party))) {
            Ok(at) => {
                let sum = &mut self.metrics[at];
                let next = (sum.numerator.checked_add(numerator), sum.denominator.checked_add(denominator));
                let (Some(numerator), Some(denominator)) = next else {
                    return Err(MoneyError::AmountOutOfRange.into());
                };
                (sum.numerator, sum.denominator) = (numerator, denominator);
            }
            Err(at) => {
                self.metrics.insert(at, MetricSum { metric: metric.clone(), party, numerator, denominator });
            }
        }
        Ok(())
    }

    /// Adds what late events changed in a closed period (rule T-19).
    pub(super) fn adjust(&mut self, period: u32, changes: &[Share]) -> Result<(), SettlementError> {
        let is_full = self.adjustments.len() >= limits::ADJUSTED_PERIODS_MAX;
        if is_full && !self.adjustments.contains_key(&period) {
            return Err(SettlementError::TooManyAdjustedPeriods);
        }
        let posted = self.adjustments.entry(period).or_default();
        posted.resize(changes.len(), Share::default());
        for (sum, change) in posted.iter_mut().zip(changes) {
            *sum = sum.plus(*change)?;
        }
        Ok(())
    }

    /// The lines of the adjustments, by period and party, without empty ones.
    pub(super) fn adjustment_lines(&self) -> Vec<Line> {
        let of_period = |(period, shares): (&u32, &Vec<Share>)| {
            Share::lines(LineKind::Adjustment { period: *period }, shares)
        };
        let mut lines: Vec<Line> = self.adjustments.iter().flat_map(of_period).collect();
        lines.retain(|line| line.share != Share::default());
        lines
    }

    fn tally(&mut self, event: &ServiceEvent, direction: Direction) -> Result<(), SettlementError> {
        self.services.entry(event.service.clone()).or_default().record(event, direction)?;
        for played in &event.parts {
            let key = (&event.service, played);
            let at = match self.parts.binary_search_by(|row| (&row.service, &row.played).cmp(&key)) {
                Ok(at) => at,
                Err(at) => {
                    let volume = Volume::default();
                    let row = PartVolume { service: event.service.clone(), played: played.clone(), volume };
                    self.parts.insert(at, row);
                    at
                }
            };
            self.parts[at].volume.record(event, direction)?;
        }
        Ok(())
    }

    /// The volume of each service.
    pub fn services(&self) -> &BTreeMap<ServiceCode, Volume> {
        &self.services
    }

    /// The volume of each service, party and part.
    pub fn parts(&self) -> &[PartVolume] {
        &self.parts
    }

    /// Where the split rounds per event: the sum of the events' amounts per party, empty before the first event.
    pub fn split(&self) -> &[AmountMinor] {
        &self.split
    }

    /// A measure over one service, or all.
    pub(super) fn measure(&self, service: Option<&ServiceCode>, measure: Measure) -> i128 {
        self.services
            .iter()
            .filter(|(of_row, _)| service.is_none_or(|service| *of_row == service))
            .map(|(_, volume)| volume.measure(measure))
            .sum()
    }

    /// A measure over the services in which a party played a part.
    pub(super) fn party_measure(
        &self,
        service: Option<&ServiceCode>,
        party: usize,
        role: PartRole,
        measure: Measure,
    ) -> i128 {
        self.parts
            .iter()
            .filter(|row| row.played.party.position() == party && row.played.role == role)
            .filter(|row| service.is_none_or(|service| row.service == *service))
            .map(|row| row.volume.measure(measure))
            .sum()
    }

    /// A metric of a party, zero where nothing was reported.
    pub(super) fn metric(&self, metric: &MetricCode, party: usize, side: MetricSide) -> i128 {
        let of_party = self.metrics.iter().find(|sum| sum.metric == *metric && sum.party.position() == party);
        of_party.map_or(0, |sum| match side {
            MetricSide::Numerator => sum.numerator.into(),
            MetricSide::Denominator => sum.denominator.into(),
        })
    }
}

/// Rule T-14: what the terms say an event may be.
fn check_event(terms: &Terms, event: &ServiceEvent) -> Result<(), SettlementError> {
    if !terms.services.contains(&event.service) {
        return Err(SettlementError::ServiceNotCovered { service: event.service.clone() });
    }
    if !(0..=limits::AMOUNT_MINOR_MAX).contains(&event.gross_minor.0) {
        return Err(SettlementError::GrossOutOfRange { gross: event.gross_minor.0 });
    }
    if event.parts.len() > limits::PARTS_PER_SERVICE_MAX {
        return Err(SettlementError::TooManyParts { count: event.parts.len() });
    }
    for (index, played) in event.parts.iter().enumerate() {
        let party = played.party.position();
        if !terms.parties.get(party).is_some_and(|of_terms| of_terms.roles.contains(&played.role)) {
            return Err(SettlementError::PartNotAgreed { party, role: played.role });
        }
        if event.parts[..index].contains(played) {
            return Err(SettlementError::PartRepeated { party, role: played.role });
        }
    }
    Ok(())
}
