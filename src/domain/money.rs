//! Money: whole minor units of an ISO 4217 currency. No floats.

/// Currencies without minor units, and those with thousandths; all others have hundredths.
const NONE: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
const THOUSANDTHS: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// How many decimals the currency has.
pub fn decimals(currency: &str) -> u32 {
    if NONE.contains(&currency) {
        0
    } else if THOUSANDTHS.contains(&currency) {
        3
    } else {
        2
    }
}

/// Whether it looks like an ISO 4217 code: three capital letters.
pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Units and billionths of `minor`, with one sign.
pub fn units_and_nanos(minor: i64, currency: &str) -> (i64, i32) {
    let scale = 10_i64.pow(decimals(currency));
    let nanos = minor % scale * (1_000_000_000 / scale);
    (minor / scale, i32::try_from(nanos).expect("below a billion"))
}

/// Minor units of an amount; `None` when the signs differ, a part of a minor unit remains, or it is too large.
pub fn minor(units: i64, nanos: i32, currency: &str) -> Option<i64> {
    let scale = 10_i64.pow(decimals(currency));
    let step = 1_000_000_000 / scale;
    let nanos = i64::from(nanos);
    let one_sign = units == 0 || nanos == 0 || (units > 0) == (nanos > 0);
    if !one_sign || nanos.abs() > 999_999_999 || nanos % step != 0 {
        return None;
    }
    units.checked_mul(scale)?.checked_add(nanos / step)
}

/// An amount for people: "349.90 EUR".
pub fn show(minor: i64, currency: &str) -> String {
    let decimals = decimals(currency);
    let scale = 10_u64.pow(decimals);
    let sign = if minor < 0 { "-" } else { "" };
    let amount = minor.unsigned_abs();
    if decimals == 0 {
        return format!("{sign}{amount} {currency}");
    }
    let width = usize::try_from(decimals).expect("at most 3");
    format!("{sign}{}.{:0width$} {currency}", amount / scale, amount % scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_of_three_scales() {
        for (minor_units, currency, parts, shown) in [
            (34_990, "EUR", (349, 900_000_000), "349.90 EUR"),
            (-5, "USD", (0, -50_000_000), "-0.05 USD"),
            (1_200, "JPY", (1_200, 0), "1200 JPY"),
            (1_005, "KWD", (1, 5_000_000), "1.005 KWD"),
        ] {
            assert_eq!(units_and_nanos(minor_units, currency), parts);
            assert_eq!(minor(parts.0, parts.1, currency), Some(minor_units));
            assert_eq!(show(minor_units, currency), shown);
        }
    }

    #[test]
    fn what_no_coin_can_pay_is_refused() {
        assert_eq!(minor(1, 1, "EUR"), None);
        assert_eq!(minor(1, -10_000_000, "EUR"), None);
        assert_eq!(minor(1, 500_000_000, "JPY"), None);
        assert_eq!(minor(i64::MAX, 0, "EUR"), None);
        assert!(is_currency("EUR") && !is_currency("eur") && !is_currency("EURO"));
    }

    proptest! {
        #[test]
        fn parts_lead_back(amount in any::<i64>(), currency in prop::sample::select(vec!["EUR", "JPY", "KWD"])) {
            let (units, nanos) = units_and_nanos(amount, currency);
            prop_assert_eq!(minor(units, nanos, currency), Some(amount));
        }
    }
}
