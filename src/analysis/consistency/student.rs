//! The quantile of Student's t that intervals at 95 % are made of.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::analysis::rate::Z;

/// From so many degrees of freedom on the expansion is exact to 12 digits. statrs loses digits there, and from 15 million on it does not end.
const MANY: f64 = 1_000.0;

/// A variable of Student's t lies within so much of 0 with 95 %; `None` of no degrees of freedom.
pub(super) fn student(degrees: f64) -> Option<f64> {
    if degrees >= MANY {
        return Some(expansion(degrees));
    }
    StudentsT::new(0.0, 1.0, degrees).map(|t| t.inverse_cdf(0.975)).ok()
}

/// R. A. Fisher and E. A. Cornish's expansion about the normal quantile (M. Abramowitz and I. A. Stegun 1964, 26.7.5).
fn expansion(degrees: f64) -> f64 {
    let x = Z;
    let first = (x.powi(3) + x) / 4.0;
    let second = (5.0 * x.powi(5) + 16.0 * x.powi(3) + 3.0 * x) / 96.0;
    let third = (3.0 * x.powi(7) + 19.0 * x.powi(5) + 17.0 * x.powi(3) - 15.0 * x) / 384.0;
    let fourth =
        (79.0 * x.powi(9) + 776.0 * x.powi(7) + 1482.0 * x.powi(5) - 1920.0 * x.powi(3) - 945.0 * x) / 92_160.0;
    x + (first + (second + (third + fourth / degrees) / degrees) / degrees) / degrees
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values computed with `SciPy` (`t.ppf(0.975, degrees)`).
    #[test]
    fn against_a_reference() {
        for (degrees, expected) in [
            (1.0, 12.706_204_736_174_698),
            (3.0, 3.182_446_305_284_263),
            (999.0, 1.962_341_461_133_449_3),
            (1e3, 1.962_339_080_826_408_3),
            (1e4, 1.960_201_239_890_626),
            (1e6, 1.959_966_356_814_107),
            (1e7, 1.959_964_221_767_205),
            (1e8, 1.959_964_008_262_766_3),
            (1e19, 1.959_963_984_540_054),
        ] {
            let found = student(degrees).unwrap();
            assert!((found - expected).abs() < 2e-9 * expected, "{degrees}: {found}");
            assert!(degrees < MANY || (found - expected).abs() < 1e-12, "{degrees}: {found}");
        }
        assert_eq!(student(0.0), None);
    }
}
