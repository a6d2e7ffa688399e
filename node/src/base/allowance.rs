//! How often something may be done: some at once, and one more every so often.

/// What comes back, and how much is saved up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The most that is saved up.
    pub burst: u32,
    /// One more comes back after so long.
    pub refill_ms: u64,
}

/// What is left of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    left: u32,
    refilled_ms: u64,
}

impl Allowance {
    /// All of it.
    pub fn full(rate: Rate, now_ms: u64) -> Self {
        Self { left: rate.burst, refilled_ms: now_ms }
    }

    /// Takes one, if one is left.
    pub fn spend(&mut self, rate: Rate, now_ms: u64) -> bool {
        self.refill(rate, now_ms);
        let is_left = self.left > 0;
        self.left -= u32::from(is_left);
        is_left
    }

    /// Gives all of it back.
    pub fn restore(&mut self, rate: Rate) {
        self.left = rate.burst;
    }

    /// When the next one comes back.
    pub fn next_ms(&self, rate: Rate) -> u64 {
        self.refilled_ms.saturating_add(rate.refill_ms)
    }

    fn refill(&mut self, rate: Rate, now_ms: u64) {
        let steps = now_ms.saturating_sub(self.refilled_ms) / rate.refill_ms;
        self.refilled_ms += steps * rate.refill_ms;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(steps).min(rate.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let rate = Rate { burst: 3, refill_ms: 10 };
        let mut allowance = Allowance::full(rate, 100);
        let spent = |allowance: &mut Allowance, from: u64, to: u64| {
            (from..to).filter(|now_ms| allowance.spend(rate, *now_ms)).count()
        };
        assert_eq!(spent(&mut allowance, 100, 110), 3);
        assert_eq!(allowance.next_ms(rate), 110);
        assert_eq!(spent(&mut allowance, 110, 130), 2);
        assert_eq!(spent(&mut allowance, 1_000, 1_001), 1);
        assert_eq!(spent(&mut allowance, 1_001, 1_005), 2, "no more than the burst is saved up");
        allowance.restore(rate);
        assert_eq!(spent(&mut allowance, 1_005, 1_009), 3);
    }
}
