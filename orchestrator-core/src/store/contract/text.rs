//! Texts: which are the same, and which can be stored.

use super::{CatalogChange, Database, Stamp, samples};
use crate::{
    catalog::Model,
    store::{CatalogLists as _, CatalogWriter as _, SettingStore as _},
};

pub(super) async fn names_compare_byte_for_byte(db: &Database) {
    let names = ["Straße", "strasse", "STRASSE", "é", "e\u{301}", "e"];
    for (index, name) in names.iter().enumerate() {
        let model = samples::model(&format!("t{index}"), name);
        db.apply(vec![CatalogChange::InsertModel(Box::new(model))], &Stamp::for_tests()).await.unwrap();
    }
    for (index, name) in names.iter().enumerate() {
        let found = db.model(name).await.unwrap().unwrap();
        assert_eq!((found.id, found.name.as_str()), (format!("t{index}"), *name));
    }
    assert_eq!(db.model("E").await.unwrap(), None);
    assert_eq!(db.model("T0").await.unwrap(), None, "ids too");
}

pub(super) async fn any_text_is_stored(db: &Database) {
    let remark: String = "'; DROP TABLE models; -- \\ \" ? $1 %s \u{1F980} 模型 \r\n\t\u{7f}".into();
    let model = Model { remark, ..samples::model("odd", "odd 🦀 name?") };
    db.apply(vec![CatalogChange::InsertModel(Box::new(model.clone()))], &Stamp::for_tests()).await.unwrap();
    assert_eq!(db.model("odd 🦀 name?").await.unwrap(), Some(model));
    // NUL is the one character that one of the databases cannot hold. It must be no reason to refuse a record.
    db.setting_or_insert("a\0b", "c\0d").await.unwrap();
    let stored = db.setting("a\0b").await.unwrap().unwrap();
    assert!(["c\0d", "c\u{fffd}d"].contains(&stored.as_str()), "{stored:?}");
    let long = "x".repeat(60_000);
    assert_eq!(db.setting_or_insert("long", &long).await.unwrap(), long);
}
