//! From a failure to the fewest faults that still show it: what a developer wants to look at.

use super::faults::FaultSet;
use super::plan::Plan;
use super::run::{Failure, Options, run_plan};

/// Leaves out one case of a fault after the other, as long as the run still fails for the same reason.
///
/// Takes as many runs as the plan has cases, and once more for each that could be left out before one that had to stay.
pub fn narrowed(failure: Box<Failure>, options: &Options) -> Box<Failure> {
    let mut plan = Plan::draw(failure.seed);
    if let Some((validator, behaviour)) = options.liar {
        plan = plan.with_liar(validator, behaviour, failure.seed);
    }
    let mut cases = plan.only(&options.faults).cases();
    let mut smallest = failure;
    let mut at = 0;
    while at < cases.len() {
        let mut fewer = cases.clone();
        fewer.remove(at);
        let mut faults = FaultSet::none();
        fewer.iter().for_each(|(fault, number)| faults.add(*fault, *number));
        match run_plan(smallest.seed, &plan.only(&faults), options) {
            Err(again) if same_kind(&again, &smallest) => {
                smallest = Box::new(Failure { narrowed: Some(faults), ..*again });
                cases = fewer;
                // What had to stay for the sake of this one may go now.
                at = 0;
            }
            _ => at += 1,
        }
    }
    smallest
}

fn same_kind(one: &Failure, other: &Failure) -> bool {
    std::mem::discriminant(&one.violation) == std::mem::discriminant(&other.violation)
}
