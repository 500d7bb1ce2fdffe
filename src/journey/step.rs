//! The step that divides the differences of numbers, and division by it.

/// A divisor of numbers that are multiples of it, or are hoped to be: dividing one is a multiplication.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    of: u64,
    /// Times the odd part of the step, this is 1 modulo 2^64.
    inverse: u64,
    zeros: u32,
    most: u64,
}

impl Step {
    /// 0 counts as 1.
    fn new(of: u64) -> Self {
        let of = of.max(1);
        let zeros = of.trailing_zeros();
        let odd = of >> zeros;
        // Newton's way: the lowest three bits are right, and each round doubles how many are.
        let better = |inverse: u64, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        Self { of, inverse: (0..5).fold(odd, better), zeros, most: u64::MAX / of }
    }

    /// The greatest that divides all these numbers; 1 if they are all 0.
    pub(crate) fn common(numbers: impl Iterator<Item = u64>) -> Self {
        let mut step: Option<Self> = None;
        for n in numbers {
            match step {
                Some(step) if step.of == 1 => break,
                Some(step) if step.quotient(n).is_some() => {}
                Some(known) => step = Some(Self::new(gcd(known.of, n))),
                None if n > 0 => step = Some(Self::new(n)),
                None => {}
            }
        }
        step.unwrap_or_else(|| Self::new(1))
    }

    pub(crate) fn get(self) -> u64 {
        self.of
    }

    /// How many steps a number is; `None` if it is no multiple.
    pub(crate) fn quotient(self, n: u64) -> Option<u64> {
        // Of a multiple this is the quotient; everything else becomes larger than any quotient.
        let steps = n.wrapping_mul(self.inverse).rotate_right(self.zeros);
        (steps <= self.most).then_some(steps)
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_divides_as_division_does() {
        let mut random = fastrand::Rng::with_seed(6);
        let mut steps = vec![1, 2, 3, 8, 1_000, 1_000_000, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1];
        steps.extend((0..200).map(|bits| random.u64(..) >> (bits % 64)));
        for of in steps {
            let step = Step::new(of);
            let of = of.max(1);
            for n in [0, 1, of, of - 1, of.wrapping_add(1), u64::MAX, u64::MAX / of * of, random.u64(..)] {
                assert_eq!(step.quotient(n), n.is_multiple_of(of).then(|| n / of), "{n} / {of}");
            }
            let times = |n: u64| of.saturating_mul(n);
            assert_eq!(Step::common([0, times(6), 0, times(10), times(15)].into_iter()).get(), {
                gcd(gcd(times(6), times(10)), times(15))
            });
        }
        assert_eq!(Step::common([0, 0].into_iter()).get(), 1);
    }
}
