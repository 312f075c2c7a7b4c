//! How long an answer a request asks for: only an estimate starts from it, so what is odd is left to the provider.

use super::scan::Object;

/// The first of these fields that holds a whole number.
pub(super) fn whole_number(object: &Object<'_>, names: &[&str]) -> Option<u64> {
    let mut values = names.iter().filter_map(|name| object.get_non_null(name));
    values.find_map(|json| std::str::from_utf8(json).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_whole_number_counts_and_nothing_else_does() {
        let json = br#"{"a":"9","b":-1,"c":1.5,"d":null,"e":7,"f":8,"g":99999999999999999999}"#;
        let object = Object::scan(json, 9).unwrap();
        assert_eq!(whole_number(&object, &["a", "b", "c", "d", "g", "x", "e", "f"]), Some(7));
        assert_eq!(whole_number(&object, &["a", "g"]), None);
    }
}
