//! What is logged: by whom it is changed, and for how long.

use super::*;
use crate::{audit::AuditFilter, catalog::log_level::LogLevel};

#[tokio::test]
async fn a_level_is_in_the_catalog_until_it_ends_or_is_taken_back() {
    let house = house().await;
    let set = house.admin.set_logging(" Debug , h2=off ", 60).await.unwrap();
    assert_eq!((set.level.as_str(), set.overruled), ("debug,h2=off", true));
    // What other cores load.
    let rows = house.database.load().await.unwrap();
    let until = UnixMicros(house.clock.now().0 + 60_000_000);
    assert_eq!(rows.log_level, Some(LogLevel { filter: "debug,h2=off".into(), until: Some(until) }));
    house.clock.advance(Duration::from_mins(1));
    assert!(!house.admin.logging().overruled, "its time is over");

    house.admin.set_logging("warn", 0).await.unwrap();
    house.clock.advance(Duration::from_hours(1000));
    assert_eq!(house.admin.logging().level, "warn");
    assert!(!house.admin.set_logging("", 0).await.unwrap().overruled);
    assert_eq!(house.database.load().await.unwrap().log_level, None);

    let filter = AuditFilter { noun: text("log_level"), ..AuditFilter::default() };
    let log = house.admin.audit_log(&filter, &Page::default()).await.unwrap();
    assert_eq!(log.items.len(), 3);
}

#[tokio::test]
async fn what_is_no_level_is_refused_by_its_field() {
    let house = house().await;
    for (level, seconds, param) in [("loud", 0, "level"), ("info", u64::MAX, "expires_seconds")] {
        let refused = house.admin.set_logging(level, seconds).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
}

#[tokio::test]
async fn a_header_that_was_not_shown_stays_as_it_is() {
    let house = house().await;
    let headers = |token: &str| Some([("x-token".to_owned(), token.to_owned())].into());
    let made = ProviderChange { headers: headers("s3cret"), ..named("one") };
    let provider = house.admin.create_provider(made, None).await.unwrap();
    let back = ProviderChange { headers: headers("****"), ..ProviderChange::default() };
    let kept = house.admin.update_provider(&provider.id, back.clone()).await.unwrap();
    assert_eq!(kept.headers, provider.headers);
    let refused =
        house.admin.create_provider(ProviderChange { headers: back.headers, ..named("two") }, None).await;
    assert_eq!(refused.unwrap_err().param.as_deref(), Some("headers"));

    let document = house.admin.export_config(None).await.unwrap();
    assert!(!document.contains("s3cret") && document.contains("****"), "{document}");
    let options = crate::admin::transfer::ImportOptions::default();
    assert_eq!(house.admin.import_config(&document, options).await.unwrap().skipped, 1);
}
