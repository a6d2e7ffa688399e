//! Visits in order, as far as their times say one.

use super::instant::Instant;

/// Parts a list that is sorted by [`Instant::sort_key`] where everything before is before everything after. What lies in
/// one part has no certain order. Gives the beginning of each part.
pub fn parts(starts: &[Instant]) -> Vec<usize> {
    // From the end: the earliest that still comes, on a calendar, in UTC with an offset, and in UTC at all.
    let mut coming = vec![Earliest::default(); starts.len() + 1];
    for (at, start) in starts.iter().enumerate().rev() {
        coming[at] = coming[at + 1];
        coming[at].include(start);
    }
    let mut gone = Latest::default();
    let mut parts = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        if at == 0 || gone.is_before(&coming[at]) {
            parts.push(at);
        }
        gone.include(start);
    }
    parts
}

/// The earliest beginning of some stretches.
#[derive(Clone, Copy)]
struct Earliest {
    calendar: i128,
    offset: i128,
    any: i128,
}

impl Default for Earliest {
    fn default() -> Self {
        Self { calendar: i128::MAX, offset: i128::MAX, any: i128::MAX }
    }
}

impl Earliest {
    fn include(&mut self, one: &Instant) {
        self.any = self.any.min(one.earliest());
        let own = if one.is_calendar { &mut self.calendar } else { &mut self.offset };
        *own = (*own).min(one.from);
    }
}

/// The latest end of some stretches.
#[derive(Clone, Copy)]
struct Latest {
    calendar: i128,
    offset: i128,
    any: i128,
}

impl Default for Latest {
    fn default() -> Self {
        Self { calendar: i128::MIN, offset: i128::MIN, any: i128::MIN }
    }
}

impl Latest {
    fn include(&mut self, one: &Instant) {
        self.any = self.any.max(one.latest());
        let own = if one.is_calendar { &mut self.calendar } else { &mut self.offset };
        *own = (*own).max(one.until);
    }

    /// Whether each is before each, as [`Instant::is_before`] has it.
    fn is_before(&self, coming: &Earliest) -> bool {
        self.calendar <= coming.calendar && self.offset <= coming.any && self.any <= coming.offset
    }
}

#[cfg(test)]
mod tests {
    use super::super::instant::parse;
    use super::*;

    /// The same by comparing all with all.
    fn by_pairs(starts: &[Instant]) -> Vec<usize> {
        let is_cut = |at: &usize| {
            starts[..*at].iter().all(|one| starts[*at..].iter().all(|other| one.is_before(other)))
        };
        (0..starts.len()).filter(is_cut).collect()
    }

    fn sorted(texts: &[&str]) -> Vec<Instant> {
        let mut starts: Vec<Instant> = texts.iter().map(|text| parse(text).unwrap()).collect();
        starts.sort_by_key(Instant::sort_key);
        starts
    }

    #[test]
    fn what_may_lie_between_two_joins_them() {
        let cases: [(&[&str], &[usize]); 6] = [
            (&[], &[]),
            (&["2020-01-01", "2020-01-02", "2020-01-02"], &[0, 1]),
            (&["2020-01-01T23:00:00-05:00", "2020-01-02"], &[0]),
            (&["2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z", "2020-01-01T00:00:01Z"], &[0, 1]),
            // The date may be before the first, between both or after the second.
            (&["2020-01-02T10:00:00Z", "2020-01-02T12:00:00Z", "2020-01-02"], &[0]),
            (&["2020", "2020-06-01", "2021-01-01", "2021-01-02T12:00:00Z"], &[0, 2, 3]),
        ];
        for (texts, expected) in cases {
            assert_eq!(parts(&sorted(texts)), expected, "{texts:?}");
        }
    }

    #[test]
    fn parts_are_those_of_comparing_all_with_all() {
        let days = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-05"];
        let times = [
            "2020-01-01T11:00:00Z",
            "2020-01-02T23:30:00-09:00",
            "2020-01-03T12:00:00Z",
            "2020-01-04T00:00:00+14:00",
        ];
        let all: Vec<&str> = days.iter().chain(&times).copied().collect();
        for chosen in 0_u32..1 << all.len() {
            let texts: Vec<&str> =
                (0..all.len()).filter(|at| chosen >> at & 1 == 1).map(|at| all[at]).collect();
            let starts = sorted(&texts);
            assert_eq!(parts(&starts), by_pairs(&starts), "{texts:?}");
        }
    }
}
