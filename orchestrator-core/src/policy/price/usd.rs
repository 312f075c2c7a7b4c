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

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanos in any::<u64>()) {
            prop_assert_eq!(parse(&format(nanos)), Some(nanos));
        }
    }
}
