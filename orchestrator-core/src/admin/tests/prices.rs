//! Prices: what is in force, what is refused, and what a change leaves as it was.

use super::*;
use crate::policy::price::{
    Price,
    book::{Listing, Source},
};

/// So many nano-dollars for a million tokens read.
fn input(nanos: u64) -> PriceChange {
    PriceChange { input: Some(Some(nanos)), ..PriceChange::default() }
}

fn said(line: &Listing) -> (Source, Option<u64>, Option<u64>) {
    (line.source, line.price.rates.input, line.price.rates.output)
}

impl House {
    /// What requests for this name would cost.
    fn priced(&self, name: &str) -> Option<Arc<Price>> {
        self.route(name)?.targets[0].price.clone()
    }
}

#[tokio::test]
async fn a_price_of_ones_own_holds_at_once_over_the_shipped_one_until_it_is_deleted() {
    let house = house().await;
    let admin = &house.admin;
    admin.create_provider(named("one"), Some("sk-1".into())).await.unwrap();
    let shipped = admin.price("openai", "gpt-4o").await.unwrap();
    assert_eq!(said(&shipped), (Source::Shipped, Some(2_500_000_000), Some(10_000_000_000)));
    let before = house.priced("one/gpt-4o").unwrap();
    assert_eq!(before, shipped.price);

    let own = admin.create_price("openai", "gpt-4o", input(7)).await.unwrap();
    assert_eq!((said(&own), &*own.price.version), ((Source::Own, Some(7), None), "own-1"));
    assert_eq!(house.priced("one/gpt-4o").unwrap(), own.price);
    assert_eq!(before.rates.input, Some(2_500_000_000), "a request that runs keeps its price");

    let changed = PriceChange { output: Some(Some(9)), ..PriceChange::default() };
    let changed = admin.update_price("openai", "gpt-4o", changed).await.unwrap();
    assert_eq!((said(&changed), &*changed.price.version), ((Source::Own, Some(7), Some(9)), "own-2"));

    admin.delete_price("openai", "gpt-4o").await.unwrap();
    assert_eq!(admin.price("openai", "gpt-4o").await.unwrap(), shipped);
    assert_eq!(house.priced("one/gpt-4o").unwrap(), before);
    let again = admin.create_price("openai", "gpt-4o", input(8)).await.unwrap();
    assert_eq!(&*again.price.version, "own-4", "no version comes twice");
}

#[tokio::test]
async fn a_shipped_price_that_is_changed_becomes_ones_own() {
    let house = house().await;
    let admin = &house.admin;
    let shipped = admin.price("gemini", "gemini-2.5-pro").await.unwrap();
    assert_eq!(shipped.price.long.unwrap().above, 200_000);
    let own = admin.update_price("gemini", "gemini-2.5-pro", input(7)).await.unwrap();
    assert_eq!(said(&own), (Source::Own, Some(7), shipped.price.rates.output));
    assert_eq!(own.price.long, None);
}

#[tokio::test]
async fn the_list_comes_in_pages_and_by_kind() {
    let house = house().await;
    let admin = &house.admin;
    admin.create_price("vllm", "naïve/模型*", input(7)).await.unwrap();
    let whole = admin.list_prices(None, &Page { size: 1000, token: String::new() }).await.unwrap();
    assert!(whole.next.is_none() && whole.items.len() > 100, "{}", whole.items.len());
    let (mut paged, mut token) = (Vec::new(), Some(String::new()));
    while let Some(next) = token {
        let page = admin.list_prices(None, &Page { size: 7, token: next }).await.unwrap();
        assert!(page.next.as_deref().is_none_or(str::is_ascii));
        paged.extend(page.items);
        token = page.next;
    }
    assert_eq!(paged, whole.items);
    let own = admin.list_prices(Some("vllm"), &Page::default()).await.unwrap();
    assert_eq!(
        own.items.iter().map(|line| line.upstream_model.as_str()).collect::<Vec<_>>(),
        ["naïve/模型*"]
    );
    for token in ["!", "abc"] {
        let refused = admin.list_prices(None, &Page { size: 0, token: token.into() }).await.unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("page_token"));
    }
}

#[tokio::test]
async fn what_is_no_price_is_refused_by_name() {
    let house = house().await;
    let admin = &house.admin;
    let bad = [
        ("nobody", "m", input(1), "kind"),
        ("", "m", input(1), "kind"),
        ("openai", "", input(1), "upstream_model"),
        ("openai", "a\nb", input(1), "upstream_model"),
        ("openai", "m", input(1_000_000_000_000_001), "input"),
        ("openai", "m", PriceChange::default(), "input"),
    ];
    for (kind, model, change, param) in bad {
        let refused = admin.create_price(kind, model, change).await.unwrap_err();
        assert_eq!((refused.kind, refused.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    admin.create_price("groq", "m", input(1)).await.unwrap();
    let twice = admin.create_price("groq", "m", input(1)).await.unwrap_err();
    assert_eq!((twice.kind, twice.code.as_deref()), (ErrorKind::Conflict, Some("already_exists")));
    for missing in [
        admin.delete_price("openai", "gpt-4o").await.unwrap_err(),
        admin.update_price("openai", "nobody-knows", input(1)).await.unwrap_err(),
        admin.price("openai", "gpt-4o-2024*").await.unwrap_err(),
    ] {
        assert_eq!(missing.kind, ErrorKind::NotFound, "{missing}");
    }
}
