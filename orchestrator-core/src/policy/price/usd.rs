//! Dollars as people write them, as whole nano-dollars: `2.50` is 2,500,000,000.

/// A dollar, in nano-dollars.
const DOLLAR: u64 = 1_000_000_000;
/// The digits behind the point.
const PLACES: usize = 9;

/// Reads plain decimal digits with at most one point and at most nine digits behind it; no sign, no exponent, no white space.
/// `None` where it is anything else, or more than a `u64` holds.
pub fn parse(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, "0"),
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > PLACES {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<PLACES$}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(DOLLAR)?.checked_add(nanos)
}

/// Writes without needless zeros: `2.5`, `0.075`, `3`.
pub fn format(nanos: u64) -> String {
    let (whole, fraction) = (nanos / DOLLAR, nanos % DOLLAR);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:0>PLACES$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Below so many dollars a 64-bit fraction tells all nano-dollars apart, even where a reader of JSON was off by its last bit.
const FINE: f64 = 1_000_000.0;

/// What [`from_number`] takes, as the end of a sentence.
pub const NUMBERS: &str =
    "must be dollars, 0 to 9000000000, with at most 9 digits behind the point, or 2 from 1000000 on";

/// Reads a number of dollars as JSON has it, exact to the nano-dollar below a million dollars, and to the cent from there on. `None` where
/// it has more digits, is negative or too large.
pub fn from_number(dollars: f64) -> Option<u64> {
    let places = if dollars < FINE { PLACES } else { 2 };
    // Out of range are infinity and what is no number too.
    if !(0.0..=9e9).contains(&dollars) {
        return None;
    }
    let text = format!("{dollars:.places$}");
    // What is left over must be less than the last bits can say.
    let over = (text.parse::<f64>().ok()? - dollars).abs();
    (over <= dollars * 2.0 * f64::EPSILON).then(|| parse(&text)).flatten()
}

/// Writes as a number: what [`from_number`] reads as the same.
pub fn to_number(nanos: u64) -> f64 {
    format(nanos).parse().unwrap_or(f64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        let good =
            [("2.50", 2_500_000_000), ("0.075", 75_000_000), ("3", 3 * DOLLAR), ("0", 0), ("0.000000001", 1)];
        for (text, nanos) in good {
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
        let bad = [
            "",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "1,5",
            " 1",
            "0.0000000001",
            "NaN",
            "1.2.3",
            "１",
            "18446744074",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(
            (format(2_500_000_000), format(75_000_000), format(0)),
            ("2.5".into(), "0.075".into(), "0".into())
        );
    }

    #[test]
    fn a_number_with_more_digits_than_money_has_is_refused() {
        assert_eq!(
            (from_number(12.5), from_number(0.1), from_number(0.0)),
            (Some(12_500_000_000), Some(100_000_000), Some(0))
        );
        for bad in [-1.0, 0.000_000_000_1, 1.000_000_000_5, 2_000_000.001, 9.1e9, f64::NAN, f64::INFINITY] {
            assert_eq!(from_number(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_exact_below_a_million_dollars(nanos in 0..1_000_000 * DOLLAR, cents in 0..900_000_000_000_u64) {
            let number = to_number(nanos);
            prop_assert_eq!(from_number(number), Some(nanos));
            // Readers of JSON may be off by the last bit.
            prop_assert_eq!(from_number(number.next_up()), Some(nanos));
            prop_assert_eq!(from_number(number.next_down().max(0.0)), Some(nanos));
            prop_assert_eq!(from_number(to_number(cents * 10_000_000)), Some(cents * 10_000_000));
        }

        #[test]
        fn what_is_written_is_read_back(nanos in any::<u64>()) {
            prop_assert_eq!(parse(&format(nanos)), Some(nanos));
        }
    }
}
